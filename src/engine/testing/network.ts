// A small language model with everything that the planner and the replay must get right: shared inputs, a residual stream, grouped
// heads, dropout, views, gradients of all its weights. Tests only; the real models are in src/models.
import { normal } from '../../util/random';
import type { Device } from '../gpu/device';
import { add, attention, crossEntropy, dropout, embedding, matmul, positionsUpTo, reshape, rmsNorm, rope, ropeTables, swiglu } from '../ops';
import { Graph, current } from '../tensor/graph';
import { upload } from '../tensor/memory';
import { type HostData, type Shape, type Tensor, sizeOf, tensor } from '../tensor/tensor';

const [BATCH, TIME, WIDTH, HEADS, KV_HEADS, HIDDEN, VOCAB, BLOCKS] = [2, 7, 12, 3, 1, 40, 13, 2];
const HEAD = WIDTH / HEADS;

export interface Network {
  readonly ids: Tensor;
  readonly labels: Tensor;
  readonly weights: readonly Tensor[];
  /** Inputs of the `i`-th step. */
  batch(i: number): Map<Tensor, HostData>;
  /** Loss, logits, the activation after the first block, and the gradients of all weights. */
  record(): { graph: Graph; loss: Tensor; logits: Tensor; hidden: Tensor; gradients: Tensor[] };
}

/** The network with its weights on the device. */
export function network(device: Device): Network {
  const weights: Tensor[] = [];
  const weight = (label: string, shape: Shape): Tensor => {
    const t = tensor(label, shape, 'param');
    weights.push(t);
    return upload(device, t, Float32Array.from({ length: sizeOf(shape) }, (_, i) => 0.3 * normal(weights.length, 1, i)));
  };
  const table = weight('embedding', [VOCAB, WIDTH]);
  const blocks = Array.from({ length: BLOCKS }, (_, i) => ({
    norm: weight(`${i}.norm`, [WIDTH]),
    q: weight(`${i}.q`, [WIDTH, WIDTH]), k: weight(`${i}.k`, [KV_HEADS * HEAD, WIDTH]), v: weight(`${i}.v`, [KV_HEADS * HEAD, WIDTH]), o: weight(`${i}.o`, [WIDTH, WIDTH]),
    gate: weight(`${i}.gate`, [HIDDEN, WIDTH]), up: weight(`${i}.up`, [HIDDEN, WIDTH]), down: weight(`${i}.down`, [WIDTH, HIDDEN]),
  }));
  const [ids, labels] = [tensor('ids', [BATCH, TIME], 'input', 'u32'), tensor('labels', [BATCH, TIME], 'input', 'i32')];
  const tables = ropeTables(10000, HEAD, TIME);

  const forward = () => {
    let x = embedding(ids, table);
    let hidden = x;
    blocks.forEach(({ norm, q, k, v, o, gate, up, down }, i) => current().segment(() => {
      const h = rmsNorm(x, norm, 1e-5);
      const turned = (w: Tensor) => rope(matmul(h, w, { tb: true }), tables, positionsUpTo(TIME), HEAD);
      const mixed = attention(turned(q), turned(k), matmul(h, v, { tb: true }), { heads: HEADS, kvHeads: KV_HEADS, causal: true });
      x = matmul(dropout(mixed, 0.1, i), o, { tb: true, c: x });
      x = add(x, matmul(swiglu(matmul(x, gate, { tb: true }), matmul(x, up, { tb: true })), down, { tb: true }));
      if (i === 0) hidden = x;
    }));
    // The head is the embedding table again: its gradient comes from both uses. Flattened and back: views.
    const flat = matmul(reshape(x, [BATCH * TIME, WIDTH]), table, { tb: true });
    return { hidden, logits: reshape(flat, [BATCH, TIME, VOCAB]) };
  };

  return {
    ids, labels, weights,
    batch: (i) => new Map<Tensor, HostData>([
      [ids, Uint32Array.from({ length: BATCH * TIME }, (_, j) => (j * j + 3 * i + 1) % VOCAB)],
      [labels, Int32Array.from({ length: BATCH * TIME }, (_, j) => (j % 5 === 4 ? -100 : (j * j + 3 * i + 2) % VOCAB))],
    ]),
    record: () => {
      const graph = new Graph();
      return graph.record(() => {
        const { hidden, logits } = forward();
        const { loss } = crossEntropy(logits, labels, 1);
        return { graph, loss, logits, hidden, gradients: graph.grad(loss, weights) };
      });
    },
  };
}
