// Recomputing gives the same bits in less memory, and redoes only what it says.
import { beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../gpu/device';
import { matmul, rmsNorm, swiglu } from '../ops';
import { testDevice } from '../testing/device';
import { network } from '../testing/network';
import { Graph, node, output } from './graph';
import { plan } from './planner';
import type { Recompute } from './recompute';
import { compile } from './step';
import { tensor } from './tensor';

describe('cheap', () => {
  /** gate and up are kept for the gradient anyway; their product is what the low-rank layer behind them would keep. */
  const record = (rows: number) => {
    const param = (label: string, ...shape: number[]) => tensor(label, shape, 'param');
    const [x, norm, gate, up, down, a] = [param('x', rows, 512), param('norm', 512), param('gate', 2048, 512), param('up', 2048, 512), param('down', 512, 2048), param('a', 16, 2048)];
    const graph = new Graph();
    const keep = graph.record(() => {
      const h = rmsNorm(x, norm, 1e-6);
      const act = swiglu(matmul(h, gate, { tb: true }), matmul(h, up, { tb: true }));
      const [low, out] = [matmul(act, a, { tb: true }), matmul(act, down, { tb: true })];
      const loss = output('loss', [1]);
      node('probe', { low, out }, [loss], () => ({ low, out }));
      return graph.grad(loss, [x, a]);
    });
    const of = (mode: Recompute) => plan(graph.commands, keep, [], { recompute: mode });
    return { names: (mode: Recompute) => of(mode).commands.map((c) => c.family.name), bytes: (mode: Recompute) => of(mode).bytes };
  };

  it('redoes an activation whose inputs stay, and nothing that is dear', () => {
    const { names, bytes } = record(1024);
    const extra = [...names('cheap')];
    for (const name of names('none')) extra.splice(extra.indexOf(name), 1);
    expect(new Set(extra)).toEqual(new Set(['elementwise/swiglu', 'norm/rms_norm']));
    expect(bytes('cheap')).toBeLessThanOrEqual(bytes('none'));
  });

  it('leaves small results alone', () => {
    const { names } = record(16);
    expect(names('cheap')).toEqual(names('none'));
  });
});

describe('blocks', () => {
  let device: Device;
  beforeAll(async () => {
    device = await testDevice();
  });

  it('computes the same bits, dropout included, in less memory and with more work', async () => {
    const net = network(device);
    const run = async (mode: Recompute) => {
      const { graph, loss, logits, gradients } = net.record();
      const step = await compile(device, graph, { keep: [loss, logits, ...gradients], recompute: mode });
      step.run(net.batch(0), { seed: 1, step: 1 });
      const values: Float32Array[] = [];
      for (const t of [loss, logits, ...gradients]) values.push(await step.read(t));
      step.dispose();
      return { values, ...step.cost };
    };
    const [all, none] = [await run('blocks'), await run('none')];
    expect(all.values).toEqual(none.values);
    expect(all.values.flatMap((v) => [...v]).every(Number.isFinite)).toBe(true);
    expect(all.bytes).toBeLessThan(none.bytes);
    expect(all.flops).toBeGreaterThan(1.1 * none.flops);
    expect(all.dispatches).toBeGreaterThan(none.dispatches);
  });
});
