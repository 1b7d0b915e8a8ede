// How a step's time grows with tokens, row length, rank and blocks: one line a point; scripts/plot-growth.mjs fits and draws them.
import type { Device } from '../../engine/gpu/device';
import type { Output } from '../output';
import { type StepSpec, median, prepareStep, timeEach } from './bench-step';

type Point = Pick<StepSpec, 'rank' | 'batch' | 'seq'> & { layers?: number };

/** Each axis: what x is, and the point at x, beside the rank, rows and row length of the flags. */
const AXES: Readonly<Record<string, { xs: readonly number[]; at(x: number, base: StepSpec): Point }>> = {
  // More rows of one length: everything grows alike.
  tokens: { xs: [64, 128, 256, 512, 1024, 2048, 4096], at: (x, { rank }) => ({ rank, batch: x / 64, seq: 64 }) },
  // One row that gets longer: attention grows with the square.
  seq: { xs: [64, 128, 256, 512, 1024, 2048], at: (x, { rank }) => ({ rank, batch: 1, seq: x }) },
  rank: { xs: [1, 4, 16, 64, 128, 256], at: (x, { batch, seq }) => ({ rank: x, batch, seq }) },
  layers: { xs: [1, 2, 4, 6, 8, 12], at: (x, { rank, batch, seq }) => ({ rank, batch, seq, layers: x }) },
};

export async function benchGrowth(device: Device, base: StepSpec, runs: number, filter: string, output: Output): Promise<void> {
  for (const [axis, { xs, at }] of Object.entries(AXES)) {
    if (!axis.includes(filter)) continue;
    for (const x of xs) {
      const point = at(x, base);
      const prepared = await prepareStep(device, { ...base, ...point }, {}, (done, total) => output.progress(`${axis} ${x}: compiling ${done}/${total}`));
      const { dispatches, flops } = prepared.step.cost;
      await timeEach(device, prepared.run, 2);
      const times = await timeEach(device, prepared.run, runs);
      const { batch, seq, rank } = point;
      const { layers } = prepared.loaded.info;
      const ms = median(times);
      output.event(
        { event: 'growth', axis, x, shape: base.shape, method: base.method, batch, seq, rank, layers, dtype: base.weights, ms, ms_min: Math.min(...times), ms_max: Math.max(...times), runs, dispatches, gflop: flops / 1e9, peak_bytes: device.peakBytes },
        `${axis} ${x}: ${ms.toFixed(2)} ms a step (least ${Math.min(...times).toFixed(2)}), ${dispatches} dispatches, ${(flops / 1e9).toFixed(2)} GFLOP`,
      );
      prepared.dispose();
    }
  }
}
