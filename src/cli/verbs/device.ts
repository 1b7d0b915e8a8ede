// lowrank device: the adapter, what it allows, and whether its kernels are right.
import { selfTest } from '../../engine/ops/self-test';
import { tryKernels } from '../../engine/ops/try-kernels';
import { parse } from '../options';
import { createOutput } from '../output';
import { openDevice } from '../session';

export async function device(args: readonly string[]): Promise<number> {
  const { values: v } = parse('device', args, {});
  const output = createOutput(v.json ?? false);
  const opened = await openDevice(v['adapter-backend'], output);
  const { gpu, info, profile } = opened;
  const limits: Record<string, number> = {};
  for (const name in gpu.limits) {
    const value = gpu.limits[name as keyof GPUSupportedLimits];
    if (typeof value === 'number') limits[name] = value;
  }
  const rows = await selfTest(opened);
  const gates = await tryKernels(opened);
  const best = [...rows].sort((a, b) => a.ms - b.ms)[0];
  output.event(
    { event: 'device', adapter: profile.id, vendor: info.vendor, architecture: info.architecture, software: profile.software, features: [...gpu.features].sort(), limits, kernels: best ? [{ work: `matmul ${best.shape}`, kernel: best.kernel, gflops: best.gflops }] : [], self_test: rows, gates },
    `${profile.id}${profile.software ? ' (computes on the CPU)' : ''}\nfeatures: ${[...gpu.features].sort().join(', ')}\nlargest buffer ${limits.maxBufferSize}, in one binding ${limits.maxStorageBufferBindingSize}\n${rows.map((r) => `${r.passed ? 'passed' : 'FAILED'}  ${r.kernel.padEnd(44)} ${r.shape}  error ${(100 * r.error).toFixed(0)} % of its bound  ${r.ms.toFixed(2)} ms`).join('\n')}\n${gates.map((g) => `${{ passed: 'passed', failed: 'switched off', plain: 'plain' }[g.outcome]}  ${g.kernel}${g.reason ? `: ${g.reason}` : ''}`).join('\n')}`,
  );
  return rows.every((row) => row.passed) ? 0 : 1;
}
