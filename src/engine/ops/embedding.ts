// Table look-up.
import source from '../../../shaders/elementwise/embedding.wgsl?raw';
import halfSource from '../../../shaders/elementwise/embedding_half.wgsl?raw';
import backwardSource from '../../../shaders/elementwise/embedding_backward.wgsl?raw';
import { ShapeError } from '../../util/errors';
import type { Family } from '../tensor/family';
import { dispatch, node, output } from '../tensor/graph';
import { type Tensor, describe, elements } from '../tensor/tensor';
import { elementwise } from './elementwise';

const lookup = elementwise('elementwise/embedding', source);
const lookupHalf: Family = { ...elementwise('elementwise/embedding_half', halfSource), packed: { table: 'f16' } };
const lookupBackward = elementwise('elementwise/embedding_backward', backwardSource);

/** Rows of `table` [vocab, c] by `ids` u32 [...]: gives [..., c]. */
export function embedding(ids: Tensor, table: Tensor): Tensor {
  const [vocab, columns] = table.shape;
  if (ids.dtype !== 'u32' || vocab === undefined || columns === undefined || table.shape.length !== 2) throw new ShapeError(`embedding: wants u32 ids and a table [vocab, c], got ${describe(ids)} ${ids.dtype} and ${describe(table)}`);
  const y = output('embedding', [...ids.shape, columns]);
  dispatch(table.dtype === 'f16' ? lookupHalf : lookup, { ids, table, y }, { size: elements(y), columns, vocab });
  node('embedding', { table }, [y], ([dy]) => {
    if (!dy) return {};
    const dtable = output('embedding.dtable', table.shape);
    dispatch(lookupBackward, { ids, dy, dtable }, { size: elements(table), columns, rows: elements(ids) }, elements(dy));
    node('embedding_backward', { dy }, [dtable], null);
    return { table: dtable };
  });
  return y;
}
