// Cross-entropy with ignored labels.
import source from '../../../shaders/loss/cross_entropy.wgsl?raw';
import backwardSource from '../../../shaders/loss/cross_entropy_backward.wgsl?raw';
import countSource from '../../../shaders/loss/count_labels.wgsl?raw';
import meanSource from '../../../shaders/loss/mean.wgsl?raw';
import { ShapeError } from '../../util/errors';
import { ceilDiv, grid1d, kernel } from '../gpu/kernel';
import { rowFamily } from '../tensor/family';
import { current, dispatch, node, output } from '../tensor/graph';
import { type Tensor, describe, elements, lastOf, rowsOf, view } from '../tensor/tensor';
import { add, copy } from './add';
import { sliceColumns } from './columns';
import { elementwise } from './elementwise';
import { reshape } from './reshape';

const rowsKernel = rowFamily((LANES, ROWS) => kernel('loss/cross_entropy', source, (p) => grid1d(ceilDiv(p.rows as number, ROWS)), { overrides: { LANES, ROWS } }), 256);
const meanKernel = rowFamily((LANES, ROWS) => kernel('loss/mean', meanSource, () => [1], { overrides: { LANES, ROWS } }));
const countKernel = rowFamily((LANES, ROWS) => kernel('loss/count_labels', countSource, () => [1], { overrides: { LANES, ROWS } }));
const backwardKernel = elementwise('loss/cross_entropy_backward', backwardSource);

/** Where the labels of some rows of logits are, and by how many labels their losses are divided. */
interface Part {
  /** Number of the first row among [batch·time]. */
  readonly first: number;
  /** [1] */
  readonly total: Tensor;
  readonly own?: boolean;
}

/** How many labels [batch, time] take part, [1]. */
function countLabels(labels: Tensor, vocab: number, shift: 0 | 1): Tensor {
  const total = output('loss.count', [1]);
  dispatch(countKernel, { labels, total }, { rows: elements(labels), time: lastOf(labels), vocab, shift });
  return total;
}

/** Σ of the losses of these rows over the number of all labels, [1]. `own`: nothing else reads the logits, before or after. */
function partOf(logits: Tensor, labels: Tensor, shift: 0 | 1, { first, total, own = false }: Part): Tensor {
  const [vocab, rows, time] = [lastOf(logits), rowsOf(logits), lastOf(labels)];
  const [lse, losses, loss] = [output('cross_entropy.lse', [rows]), output('cross_entropy.rows', [rows]), output('loss', [1])];
  dispatch(rowsKernel, { logits, labels, lse, losses }, { rows, first, time, vocab, shift }, 4 * elements(logits));
  dispatch(meanKernel, { x: losses, total, mean: loss }, { n: rows });
  node('cross_entropy', { logits }, [loss], ([dy]) => {
    if (!dy) return {};
    // Nobody reads the logits of a chunk again, so their gradient may take their place.
    const dlogits = own ? view(logits, logits.shape) : copy(logits);
    dispatch(backwardKernel, { labels, lse, total, dy, logits: dlogits }, { size: elements(logits), first, time, vocab, shift }, 4 * elements(logits));
    node('cross_entropy_backward', { logits, dy }, [dlogits], null);
    return { logits: dlogits };
  });
  return loss;
}

function wantLabels(labels: Tensor, rows: number, what: Tensor): void {
  if (labels.dtype !== 'i32' || elements(labels) !== rows) throw new ShapeError(`cross_entropy: wants i32 labels for ${rows} rows of ${describe(what)}, got ${describe(labels)} ${labels.dtype}`);
}

export interface Loss {
  /** Mean in nats, [1]. */
  readonly loss: Tensor;
  /** How many labels took part, [1]. */
  readonly count: Tensor;
}

/**
 * Mean cross-entropy in nats of `logits` [batch, time, vocab] against `labels` i32 [batch, time], over labels ≥ 0.
 * shift 1: position t predicts labels[t + 1], as causal language models do in transformers. No label at all gives 0.
 */
export function crossEntropy(logits: Tensor, labels: Tensor, shift: 0 | 1): Loss {
  wantLabels(labels, rowsOf(logits), logits);
  const count = countLabels(labels, lastOf(logits), shift);
  return { loss: partOf(logits, labels, shift, { first: 0, total: count }), count };
}

/** The loss of every position of `logits` [batch, time, vocab], 0 where it has no label, [batch·time]. Not differentiable. */
export function positionLosses(logits: Tensor, labels: Tensor, shift: 0 | 1): Tensor {
  const [vocab, rows] = [lastOf(logits), rowsOf(logits)];
  wantLabels(labels, rows, logits);
  const [lse, losses] = [output('cross_entropy.lse', [rows]), output('cross_entropy.rows', [rows])];
  dispatch(rowsKernel, { logits, labels, lse, losses }, { rows, first: 0, time: lastOf(labels), vocab, shift }, 4 * elements(logits));
  node('position_losses', { logits }, [losses], null);
  return losses;
}

/** Logits of a chunk, or their gradient, take at most this much. */
const CHUNK_BYTES = 96 * 2 ** 20;
/** Rows of a chunk are a multiple of this: a tile of the matrix product. */
const CHUNK_ROWS = 64;

/**
 * The mean cross-entropy of head(hidden), hidden [batch, time, c], without ever holding all logits: the head is called on chunks of
 * rows [rows, c], and the gradients of a chunk are computed right behind its loss. `chunkBytes`: how much the logits of one may take.
 */
export function headLoss(hidden: Tensor, head: (rows: Tensor) => Tensor, vocab: number, labels: Tensor, shift: 0 | 1, chunkBytes = CHUNK_BYTES): Loss {
  const [rows, columns] = [rowsOf(hidden), lastOf(hidden)];
  wantLabels(labels, rows, hidden);
  const count = countLabels(labels, vocab, shift);
  const chunks = Math.min(ceilDiv(4 * rows * vocab, chunkBytes), ceilDiv(rows, CHUNK_ROWS));
  // The gradient of a plain product does not need its result; of what else a head may end in, one does not know.
  const part = (x: Tensor, first: number): Tensor => {
    const logits = head(x);
    return partOf(logits, labels, shift, { first, total: count, own: current().madeBy(logits) === 'matmul' });
  };
  if (chunks <= 1) return { loss: part(hidden, 0), count };
  const size = CHUNK_ROWS * ceilDiv(rows, chunks * CHUNK_ROWS);
  const flat = reshape(hidden, [1, rows * columns]);
  let loss: Tensor | undefined;
  for (let first = 0; first < rows; first += size) {
    const height = Math.min(size, rows - first);
    const chunk = reshape(sliceColumns(flat, first * columns, height * columns), [height, columns]);
    const own = current().withGradients('head_loss', () => part(chunk, first));
    loss = loss ? add(loss, own) : own;
  }
  return { loss: loss as Tensor, count };
}
