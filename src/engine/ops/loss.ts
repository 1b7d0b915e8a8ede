// Cross-entropy with ignored labels.
import source from '../../../shaders/loss/cross_entropy.wgsl?raw';
import backwardSource from '../../../shaders/loss/cross_entropy_backward.wgsl?raw';
import meanSource from '../../../shaders/loss/mean.wgsl?raw';
import { ShapeError } from '../../util/errors';
import { ceilDiv, grid1d, kernel } from '../gpu/kernel';
import { rowFamily } from '../tensor/family';
import { dispatch, node, output } from '../tensor/graph';
import { type Tensor, describe, elements, lastOf, rowsOf } from '../tensor/tensor';
import { elementwise } from './elementwise';

const rowsKernel = rowFamily((LANES, ROWS) => kernel('loss/cross_entropy', source, (p) => grid1d(ceilDiv(p.rows as number, ROWS)), { overrides: { LANES, ROWS } }));
const meanKernel = rowFamily((LANES, ROWS) => kernel('loss/mean', meanSource, () => [1], { overrides: { LANES, ROWS } }));
const backwardKernel = elementwise('loss/cross_entropy_backward', backwardSource);

/**
 * Mean cross-entropy in nats of `logits` [batch, time, vocab] against `labels` i32 [batch, time], over labels ≥ 0.
 * shift 1: position t predicts labels[t + 1], as causal language models do in transformers. No label at all gives 0.
 * `count`: how many labels took part, [1].
 */
export function crossEntropy(logits: Tensor, labels: Tensor, shift: 0 | 1): { loss: Tensor; count: Tensor } {
  const [vocab, rows] = [lastOf(logits), rowsOf(logits)];
  const time = lastOf(labels);
  if (labels.dtype !== 'i32' || elements(labels) !== rows) throw new ShapeError(`cross_entropy: wants i32 labels for ${rows} rows of ${describe(logits)}, got ${describe(labels)} ${labels.dtype}`);
  const [lse, losses, counts] = [output('cross_entropy.lse', [rows]), output('cross_entropy.rows', [rows]), output('cross_entropy.counts', [rows])];
  dispatch(rowsKernel, { logits, labels, lse, losses, counts }, { rows, time, vocab, shift }, 4 * elements(logits));
  const [loss, count] = [output('loss', [1]), output('loss.count', [1])];
  dispatch(meanKernel, { x: losses, weight: counts, mean: loss, total: count }, { n: rows });
  node('cross_entropy', { logits }, [loss], ([dy]) => {
    if (!dy) return {};
    const dlogits = output('cross_entropy.dlogits', logits.shape);
    dispatch(backwardKernel, { logits, labels, lse, total: count, dy, dlogits }, { size: elements(logits), time, vocab, shift }, 4 * elements(logits));
    node('cross_entropy_backward', { logits, dy }, [dlogits], null);
    return { logits: dlogits };
  });
  return { loss, count };
}
