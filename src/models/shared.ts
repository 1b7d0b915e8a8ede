// Pieces that several architectures have.
import type { Scope } from '../engine/nn/network';
import { fill, matmul, meanPool, reshape, rmsNorm, sliceColumns } from '../engine/ops';
import { type Tensor, constant, lastOf, rowsOf } from '../engine/tensor/tensor';
import { ShapeError } from '../util/errors';
import type { Task } from './model';

/** x [batch, time, c] at time 0: [batch, c]. */
export function firstToken(x: Tensor): Tensor {
  const [batch, time, columns] = x.shape as [number, number, number];
  return sliceColumns(reshape(x, [batch, time * columns]), 0, columns);
}

/** x / ‖x‖ row by row: RMSNorm with the weight 1 / √c. Zeros stay zeros where `eps` is not 0. */
export function unit(x: Tensor, eps = 0): Tensor {
  const columns = lastOf(x);
  return rmsNorm(x, constant(`unit ${columns}`, [columns], 'f32', () => new Float32Array(columns).fill(1 / Math.sqrt(columns))), eps);
}

/** Small beside any hidden state's square, and a number of f32 still. */
const NOTHING = 1e-24;
/** Cosines of places without a text are set so far down that their share of any softmax is 0. */
const HIDDEN = 1e4;

/** Both sides of a batch of pairs, [batch, c] each: the means of the hidden states [2 batch, time, c] over what is no padding, of length one. */
export function embedPairs(m: Scope, x: Tensor): { first: Tensor; second: Tensor } {
  const [texts, , columns] = x.shape as [number, number, number];
  const flat = reshape(unit(meanPool(x, maskOf(m)), NOTHING), [1, texts * columns]);
  const [first, second] = [0, 1].map((half) => reshape(sliceColumns(flat, (half * texts * columns) / 2, (texts * columns) / 2), [texts / 2, columns])) as [Tensor, Tensor];
  return { first, second };
}

/** Logits [batch, batch] of each first text with each second one: their cosine times the scale. */
export function matchPairs(m: Scope, { first, second }: { first: Tensor; second: Tensor }, { scale }: Extract<Task, { kind: 'sentence-embedding' }>): Tensor {
  const size = rowsOf(first);
  const mask = maskOf(m);
  // 1 where a text stands, 0 where a batch has no row.
  const there = reshape(meanPool(fill([...mask.shape, 1], 1), mask), [1, 2 * size]);
  const [left, right] = [0, size].map((start) => reshape(sliceColumns(there, start, size), [size, 1])) as [Tensor, Tensor];
  const hidden = matmul(left, right, { tb: true, alpha: HIDDEN, c: fill([size, size], -HIDDEN) });
  return matmul(first, second, { tb: true, alpha: scale, c: hidden });
}

function maskOf(m: Scope): Tensor {
  if (!m.call.mask) throw new ShapeError('texts are embedded over what is no padding, and the call has no mask');
  return m.call.mask;
}

/** The head of a task that all encoders do alike; null where it is the architecture's own. */
export function encoderHead(m: Scope, x: Tensor, task: Task): Tensor | null {
  if (task.kind === 'sentence-embedding') return matchPairs(m, embedPairs(m, x), task);
  return task.kind === 'token-classification' ? m.linear('classifier', x, task.labels.length, { bias: true }) : null;
}
