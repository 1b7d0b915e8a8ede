// Recording, dispatch by name, and the reverse walk: what is differentiated, what is summed, what is refused.
import { beforeAll, describe, expect, it } from 'vitest';
import { BindingError, ShapeError, type StudioError } from '../../util/errors';
import type { Device } from '../gpu/device';
import { kernel } from '../gpu/kernel';
import { add, addColumns, attention, columnDot, crossEntropy, embedding, layerNorm, matmul, placeColumns, reshape, rmsNorm, rope, ropeTables, scale, scaleColumns, sliceColumns, swiglu, writeCache } from '../ops';
import { testDevice } from '../testing/device';
import { single } from './family';
import { Graph, dispatch } from './graph';
import { upload } from './memory';
import { compile } from './step';
import { type DType, type Shape, type Tensor, tensor, view } from './tensor';

const input = (label: string, shape: Shape, dtype: DType = 'f32') => tensor(label, shape, 'input', dtype);
const record = <T>(build: (graph: Graph) => T): T => {
  const graph = new Graph();
  return graph.record(() => build(graph));
};
const kernels = (graph: Graph) => graph.commands.map(({ family }) => family.name);

describe('a recording', () => {
  it('refuses ops outside of it, and says what to do', () => {
    const x = input('x', [3]);
    expect(() => add(x, x)).toThrow('an op was called outside a recording');
    expect(attempt(() => add(x, x)).hint).toContain('graph.record');
  });

  it('is synchronous', () => {
    expect(() => record(async () => {})).toThrow('the recorded function is async');
  });

  it('ends with the function, also when that throws, and may stand inside another', () => {
    const [outer, inner, x] = [new Graph(), new Graph(), input('x', [3])];
    outer.record(() => {
      expect(() => inner.record(() => { add(x, x); throw new Error('midway'); })).toThrow('midway');
      scale(x, 2);
    });
    expect([kernels(outer), kernels(inner)]).toEqual([['elementwise/axpby'], ['elementwise/axpby']]);
    expect(() => add(x, x)).toThrow('outside a recording');
  });
});

describe('dispatch', () => {
  const family = single(kernel('test/two', `struct Params { n: u32, alpha: f32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;`, () => [1]));
  const [x, y, params] = [input('x', [3]), input('y', [3]), { n: 3, alpha: 1 }];
  const failure = (tensors: Record<string, Tensor>, values: Record<string, number> = params) => attempt(() => record(() => dispatch(family, tensors, values)));

  it('binds by name, in the order of the kernel', () => {
    record((graph) => {
      dispatch(family, { y, x }, params);
      expect(graph.commands[0]?.tensors).toEqual([x, y]);
    });
  });

  it('names the binding that is missing or not there', () => {
    expect(failure({ x }).message).toBe("test/two: nothing is bound to 'y'");
    expect(failure({ x, y, z: x })).toMatchObject({ name: 'BindingError', message: "test/two: 'z' is not a binding", hint: 'It binds x, y.' });
  });

  it('names the parameter that is missing, not there, or no number', () => {
    expect(failure({ x, y }, { n: 3 }).message).toBe("test/two: parameter 'alpha' is undefined");
    expect(failure({ x, y }, { n: 3, alpha: Number.NaN }).message).toBe("test/two: parameter 'alpha' is NaN");
    expect(failure({ x, y }, { n: 3, alpha: 1, beta: 2 }).message).toBe("test/two: 'beta' is not a parameter");
    expect(failure({ x, y }, { n: 3 })).toBeInstanceOf(BindingError);
  });

  it('binds the tensor behind a view', () => {
    record((graph) => {
      dispatch(family, { x: view(x, [1, 3]), y }, params);
      expect(graph.commands[0]?.tensors[0]).toBe(x);
    });
  });
});

describe('shapes that do not fit are refused by', () => {
  const f = input;
  const ids = input('ids', [2, 3], 'u32');
  const CASES: [message: string, op: () => unknown][] = [
    ['matmul: inner sizes differ: a [17, 33] has 33, b [32, 5] has 32', () => matmul(f('a', [17, 33]), f('b', [32, 5]))],
    ['matmul: inner sizes differ: a [17, 33]ᵀ has 17, b [32, 5]ᵀ has 5', () => matmul(f('a', [17, 33]), f('b', [32, 5]), { ta: true, tb: true })],
    ['matmul: c must be [2, 4], got c [4, 2]', () => matmul(f('a', [2, 3]), f('b', [3, 4]), { c: f('c', [4, 2]) })],
    ['add: shapes differ: x [3] and y [4]', () => add(f('x', [3]), f('y', [4]))],
    ['swiglu: u must be [3], got u [4]', () => swiglu(f('g', [3]), f('u', [4]))],
    ['rms_norm: weight must be [4], got w [3]', () => rmsNorm(f('x', [2, 4]), f('w', [3]), 1e-5)],
    ['layer_norm: bias must be [4], got b [1, 4]', () => layerNorm(f('x', [2, 4]), f('w', [4]), f('b', [1, 4]), 1e-5)],
    ['scale_columns: g must be [4], got g [2]', () => scaleColumns(f('x', [2, 4]), f('g', [2]))],
    ['add_columns: b must be [4], got b [2]', () => addColumns(f('x', [2, 4]), f('b', [2]))],
    ['slice_columns: [3, 5) is not inside x [2, 4]', () => sliceColumns(f('x', [2, 4]), 3, 2)],
    ['reshape: x [2, 4] has 8 elements, [3, 3] has 9', () => reshape(f('x', [2, 4]), [3, 3])],
    ['embedding: wants u32 ids and a table [vocab, c], got ids [2, 3] f32 and table [5, 4]', () => embedding(f('ids', [2, 3]), f('table', [5, 4]))],
    ['embedding: wants u32 ids and a table [vocab, c], got ids [2, 3] u32 and table [5]', () => embedding(ids, f('table', [5]))],
    ['cross_entropy: wants i32 labels for 6 rows of logits [2, 3, 5], got ids [2, 3] u32', () => crossEntropy(f('logits', [2, 3, 5]), ids, 1)],
    ['rope: x must be [batch, time, heads·4], got x [1, 2, 6]', () => rope(f('x', [1, 2, 6]), ropeTables(1e4, 4, 2), input('p', [2], 'u32'), 4)],
    ['rope: positions must be [2], got p [3]', () => rope(f('x', [1, 2, 8]), ropeTables(1e4, 4, 2), input('p', [3], 'u32'), 4)],
    ['attention: head size 6 must be a multiple of 4 and 1 heads a multiple of 1 kv heads', () => attention(f('q', [1, 2, 6]), f('k', [1, 2, 6]), f('v', [1, 2, 6]), { heads: 1, kvHeads: 1, causal: true })],
    ['attention: head size 4 must be a multiple of 4 and 3 heads a multiple of 2 kv heads', () => attention(f('q', [1, 2, 12]), f('k', [1, 2, 8]), f('v', [1, 2, 8]), { heads: 3, kvHeads: 2, causal: true })],
    ['attention: v must be [1, 2, 4], got v [1, 3, 4]', () => attention(f('q', [1, 2, 4]), f('k', [1, 2, 4]), f('v', [1, 3, 4]), { heads: 1, kvHeads: 1, causal: true })],
    ['attention: mask must be [1, 2], got m [2]', () => attention(f('q', [1, 2, 4]), f('k', [1, 2, 4]), f('v', [1, 2, 4]), { heads: 1, kvHeads: 1, causal: true, mask: input('m', [2], 'u32') })],
    ['cache_write: cache must be [1, 9, 4], got cache [2, 9, 4]', () => writeCache(f('cache', [2, 9, 4]), f('x', [1, 2, 4]), input('p', [2], 'u32'))],
    ['x: 0 is no size', () => f('x', [2, 0])],
    ['x: 1.5 is no size', () => f('x', [1.5])],
  ];
  it.each(CASES)('%s', (message, op) => {
    const error = attempt(() => record(op));
    expect(error).toBeInstanceOf(ShapeError);
    expect(error.message).toBe(message);
  });
});

describe('grad', () => {
  const one = (x: Tensor) => matmul(reshape(x, [1, x.shape.reduce((a, b) => a * b, 1)]), tensor('ones', [x.shape.reduce((a, b) => a * b, 1), 1], 'input'));

  it('differentiates only what lies between', () => {
    const [x, w1, w2, w3] = [input('x', [2, 3]), input('w1', [3, 4]), input('w2', [4, 5]), input('w3', [5, 6])];
    record((graph) => {
      const loss = one(matmul(matmul(matmul(x, w1), w2), w3));
      const forward = graph.commands.length;
      const [dw2] = graph.grad(loss, [w2]) as [Tensor];
      expect(dw2.shape).toEqual([4, 5]);
      // The seed, back through the sum and w3, and the product with what came before: nothing for w1, w3 or x.
      expect(kernels(graph).slice(forward)).toEqual(['elementwise/fill', 'matmul', 'matmul', 'matmul']);
    });
  });

  it('costs nothing for a loss that does not depend on it, and gives zeros', async () => {
    const [x, other] = [input('x', [2, 3]), input('other', [4])];
    record((graph) => {
      const [g] = graph.grad(one(x), [other]) as [Tensor];
      expect(g.shape).toEqual([4]);
      expect(graph.commands.at(-1)).toMatchObject({ params: { n: 4, value: 0 } });
      expect(kernels(graph)).toEqual(['matmul', 'elementwise/fill']);
    });
  });

  it('wants a loss of one element', () => {
    const x = input('x', [2]);
    expect(() => record((graph) => graph.grad(scale(x, 2), [x]))).toThrow('grad: the loss must have one element, got scale [2]');
  });

  it('says which op cannot be differentiated', () => {
    const [g, u] = [input('g', [3]), input('u', [3])];
    const twice = attempt(() => record((graph) => {
      const [dg] = graph.grad(one(swiglu(g, u)), [g]) as [Tensor];
      graph.grad(one(dg), [u]);
    }));
    expect(twice).toMatchObject({ message: 'swiglu_backward has no backward', hint: 'A fused backward kernel cannot be differentiated again.' });
    expect(() => record((graph) => graph.grad(one(columnDot(g)), [g]))).toThrow('column_dot has no backward');
    const q = input('q', [1, 1, 4]);
    expect(() => record((graph) => graph.grad(one(attention(q, q, q, { heads: 1, kvHeads: 1, causal: true, positions: input('p', [1], 'u32') })), [q]))).toThrow('attention has no backward');
  });

  it('does not ask ops for a backward that the walk never reaches', () => {
    const [x, w] = [input('x', [2, 3]), input('w', [3])];
    record((graph) => {
      const y = scaleColumns(x, w);
      // Depends on w, but the loss does not depend on it.
      columnDot(y);
      expect(graph.grad(one(y), [w])).toHaveLength(1);
      // The loss depends on it, and it is where the walk ends.
      const h = columnDot(x);
      expect(graph.grad(one(scale(h, 2)), [h])).toHaveLength(1);
    });
  });

  describe('in numbers', () => {
    let device: Device;
    beforeAll(async () => {
      device = await testDevice();
    });
    /** Runs `build` on x = (1, 2, 3) and reads what it returns. */
    async function numbers(build: (graph: Graph, x: Tensor, loss: (y: Tensor) => Tensor) => Tensor[]): Promise<number[][]> {
      const x = upload(device, input('x', [3]), Float32Array.of(1, 2, 3));
      const ones = upload(device, input('ones', [3, 1]), Float32Array.of(1, 1, 1));
      const graph = new Graph();
      const kept = graph.record(() => build(graph, x, (y) => matmul(reshape(y, [1, 3]), ones)));
      const step = await compile(device, graph, { keep: kept });
      step.run();
      const values: number[][] = [];
      for (const t of kept) values.push([...(await step.read(t))]);
      step.dispose();
      return values;
    }

    it('sums the gradients of all uses of a tensor', async () => {
      // x·x + 2x + x: 2x + 3
      expect(await numbers((graph, x, loss) => graph.grad(loss(add(scaleColumns(x, x), add(scale(x, 2), x))), [x]))).toEqual([[5, 7, 9]]);
    });

    it('reaches an activation as well as what it came from', async () => {
      expect(await numbers((graph, x, loss) => {
        const h = scale(x, 3);
        return graph.grad(loss(scaleColumns(h, h)), [h, x]);
      })).toEqual([[6, 12, 18], [18, 36, 54]]);
    });

    it('of the loss itself is one, of a stranger zero', async () => {
      expect(await numbers((graph, x, loss) => {
        const l = loss(x);
        return graph.grad(l, [l, input('stranger', [2])]);
      })).toEqual([[1], [0, 0]]);
    });

    it('can be differentiated again where no kernel is fused', async () => {
      // l = x·xᵀ, g = 2x, l' = g·gᵀ = 4x·xᵀ → 8x
      expect(await numbers((graph, x) => {
        const row = reshape(x, [1, 3]);
        const [g] = graph.grad(matmul(row, row, { tb: true }), [row]) as [Tensor];
        return [g, ...graph.grad(matmul(g, g, { tb: true }), [row])];
      })).toEqual([[2, 4, 6], [8, 16, 24]]);
    });

    it('goes through slices and their adjoint', async () => {
      expect(await numbers((graph, x, loss) => graph.grad(loss(placeColumns(sliceColumns(scaleColumns(x, x), 1, 2), 1, 3)), [x]))).toEqual([[0, 4, 6]]);
    });
  });
});

/** The error that `run` throws. */
function attempt(run: () => unknown): StudioError {
  try {
    run();
  } catch (error) {
    return error as StudioError;
  }
  throw new Error('nothing was thrown');
}
