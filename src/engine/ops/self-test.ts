// Proves on the device at hand that every matmul kernel it may use agrees with a double-precision product, and times each.
import type { Device } from '../gpu/device';
import { Graph } from '../tensor/graph';
import { free, upload } from '../tensor/memory';
import { compile } from '../tensor/step';
import { tensor } from '../tensor/tensor';
import { normal } from '../../util/random';
import { matmul, matmulFamily } from './matmul';

export interface SelfTestRow {
  readonly kernel: string;
  readonly shape: string;
  readonly passed: boolean;
  /** Largest error as a share of the bound (k + 8)·2⁻²⁴·Σ|terms|; below 1 passes. */
  readonly error: number;
  readonly ms: number;
  readonly gflops: number;
}

export async function selfTest(device: Device, [m, n, k]: readonly [number, number, number] = [96, 80, 128]): Promise<SelfTestRow[]> {
  const rows: SelfTestRow[] = [];
  const [a, b] = [tensor('a', [m, k], 'param'), tensor('b', [n, k], 'param')];
  const [av, bv] = [Float32Array.from({ length: m * k }, (_, i) => normal(1, 1, i)), Float32Array.from({ length: n * k }, (_, i) => normal(1, 2, i))];
  upload(device, a, av);
  upload(device, b, bv);
  for (const kernel of matmulFamily.candidates(device.profile, { m, n, k, ta: 0, tb: 1 })) {
    const graph = new Graph();
    const y = graph.record(() => matmul(a, b, { tb: true }));
    const step = await compile(device, graph, { keep: [y], kernels: () => kernel });
    step.run();
    const values = await step.read(y);
    const start = performance.now();
    step.run();
    await device.idle();
    const ms = performance.now() - start;
    const error = worstShare(values, av, bv, m, n, k);
    rows.push({ kernel: kernel.key, shape: `${m}×${n}×${k}`, passed: error < 1, error, ms, gflops: (2 * m * n * k) / ms / 1e6 });
    step.dispose();
  }
  free(device, a);
  free(device, b);
  return rows;
}

function worstShare(y: Float32Array, a: Float32Array, b: Float32Array, m: number, n: number, k: number): number {
  let worst = 0;
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let [sum, size] = [0, 0];
      for (let x = 0; x < k; x++) {
        const term = (a[i * k + x] as number) * (b[j * k + x] as number);
        sum += term;
        size += Math.abs(term);
      }
      const share = Math.abs((y[i * n + j] as number) - sum) / ((k + 8) * 2 ** -24 * size + 1e-30);
      if (!(share <= worst)) worst = share;
    }
  }
  return worst;
}
