// What is joined into one kernel, what must not be, and what a low-rank layer comes down to. The numbers of joined kernels are
// checked beside the ops (ops/matmul.test.ts).
import { describe, expect, it } from 'vitest';
import { add, addColumns, axpby, copy, matmul, rmsNorm } from '../ops';
import { Graph, node, output } from './graph';
import { plan } from './planner';
import { type Shape, type Tensor, tensor } from './tensor';

const param = (label: string, ...shape: number[]) => tensor(label, shape, 'param');
/** Names of the kernels' families after planning. */
function planned(build: () => Tensor[]): string[] {
  const graph = new Graph();
  const keep = graph.record(build);
  return plan(graph.commands, keep).commands.map((c) => c.family.name);
}
const [x, w, b, c] = [param('x', 8, 96), param('w', 128, 96), param('b', 128), param('c', 8, 128)];
const product = () => matmul(x, w, { tb: true });

describe('joined', () => {
  it('a bias and a residual, in either order of the sum', () => {
    expect(planned(() => [add(addColumns(product(), b), c)])).toEqual(['matmul']);
    expect(planned(() => [add(c, addColumns(product(), b))])).toEqual(['matmul']);
  });

  it('two products: each takes the other as what it is added to', () => {
    expect(planned(() => [add(product(), product())])).toEqual(['matmul', 'matmul']);
  });

  it('a low-rank layer into two kernels forward and three backward', () => {
    const rows = 256;
    const [a, q, dy, x, c] = [param('A', 16, 96), param('B', 128, 16), param('dy', rows, 128), param('x', rows, 96), param('c', rows, 128)];
    const graph = new Graph();
    const keep = graph.record(() => {
      const y = add(c, matmul(matmul(x, a, { tb: true }), q, { tb: true, alpha: 2, c: matmul(x, w, { tb: true }) }));
      const loss = output('loss', [1]);
      node('probe', { y }, [loss], () => ({ y: dy }));
      return [y, ...graph.grad(loss, [x, a, q])];
    });
    const { commands } = plan(graph.commands, keep);
    expect(commands.map((command) => [command.family.name, command.params.k2])).toEqual([
      ['matmul', 0], ['matmul', 16], // low = x Aᵀ;  y = x Wᵀ + low Bᵀ
      ['matmul', 0], ['matmul/thin', undefined], ['matmul', 16], // u = dy B;  dB = dyᵀ low and dA = uᵀ x;  dx = dy W + u A
    ]);
  });

  it('the residual stream into the gradient of a norm', () => {
    const weight = param('g', 96);
    const graph = new Graph();
    const keep = graph.record(() => {
      const y = add(x, rmsNorm(x, weight, 1e-6));
      const loss = output('loss', [1]);
      node('probe', { y }, [loss], () => ({ y: param('dy', 8, 96) }));
      return graph.grad(loss, [x]);
    });
    expect(plan(graph.commands, keep).commands.map((command) => command.family.name)).toEqual(['norm/rms_norm', 'norm/rms_norm_backward']);
  });
});

describe('not joined', () => {
  it('a result that is kept, or read a second time', () => {
    expect(planned(() => { const y = product(); return [y, add(y, c)]; })).toHaveLength(2);
    expect(planned(() => { const y = product(); return [add(y, c), copy(y)]; })).toHaveLength(3);
    expect(planned(() => { const y = product(); return [add(y, y)]; })).toHaveLength(2);
  });

  it('a scaled sum, a bias of another width, and a second residual', () => {
    expect(planned(() => [axpby(product(), c, 1, 0.5)])).toHaveLength(2);
    expect(planned(() => [addColumns(reshaped(product(), [16, 64]), param('b', 64))])).toHaveLength(2);
    expect(planned(() => [add(add(product(), c), c)])).toHaveLength(2);
  });

  it('a product past a write to what it reads', () => {
    const graph = new Graph();
    const y = graph.record(() => {
      const early = product();
      // An update in place: w changes before the sum.
      graph.commands.push({ ...(graph.commands[0] as (typeof graph.commands)[0]), tensors: (graph.commands[0] as (typeof graph.commands)[0]).tensors.map((t, i, all) => (i === all.length - 1 ? w : i === 1 ? c : t)) });
      return add(early, c);
    });
    expect(plan(graph.commands, [y]).commands).toHaveLength(3);
  });
});

/** The same numbers under another shape. */
const reshaped = (t: Tensor, shape: Shape): Tensor => ({ ...tensor(t.label, shape, t.life), viewOf: t });
