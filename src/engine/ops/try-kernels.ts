// Every fast kernel that a device may choose for usual work, tried against its family's plain one: what the device panel shows.
import type { Device } from '../gpu/device';
import { PASSED, tried } from '../tensor/gate';
import { Graph, node, output } from '../tensor/graph';
import { tensor } from '../tensor/tensor';
import { attention } from './attention';
import { matmul } from './matmul';

export interface GateRow {
  readonly family: string;
  readonly kernel: string;
  /** 'plain': what the others of its family are held against. */
  readonly outcome: 'passed' | 'failed' | 'plain';
  /** What was wrong. */
  readonly reason?: string;
}

/** Records a little of everything that has more than one kernel: products of all kinds, in f32 and with halves, attention and its gradients. */
function usualWork(matrices: boolean): Graph {
  const graph = new Graph();
  graph.record(() => {
    const [x, w, a, h, dy, q] = [tensor('x', [256, 256], 'param'), tensor('w', [256, 256], 'param'), tensor('a', [16, 256], 'param'), tensor('h', [256, 256], 'param', 'f16'), tensor('dy', [256, 256], 'param'), tensor('q', [1, 256, 256], 'param')];
    const y = matmul(matmul(x, a, { tb: true }), a, { c: matmul(x, w, { tb: true }) });
    // Drivers warn aloud of matrix units while those are an experiment: they are tried when halves are first used.
    const z = matrices ? y : matmul(x, h, { tb: true });
    const mixed = attention(q, q, q, { heads: 4, kvHeads: 4, causal: true });
    const loss = output('loss', [1]);
    node('probe', { y, z, mixed }, [loss], () => ({ y: dy, z: dy, mixed: q }));
    graph.grad(loss, [x, w, a, q]);
  });
  return graph;
}

/** On request a software adapter tries its kernels too. */
export async function tryKernels(device: Device): Promise<GateRow[]> {
  const rows = new Map<string, GateRow>();
  for (const { family, params } of usualWork(device.profile.matrices).commands) {
    if (!family.trial) continue;
    for (const kernel of family.candidates(device.profile, params)) {
      const outcome = await tried(device, family, kernel, params);
      const row: GateRow = { family: family.name, kernel: kernel.key, outcome: outcome === null ? 'plain' : outcome === PASSED ? 'passed' : 'failed', ...(outcome !== null && outcome !== PASSED ? { reason: outcome } : {}) };
      if (!rows.has(kernel.key) || row.outcome === 'failed') rows.set(kernel.key, row);
    }
  }
  return [...rows.values()];
}
