// The recorded engine in a worker, where the page looks for the real one. Test code.
import { expose } from 'comlink';
import { toFailure } from '../../src/util/errors';
import { browserRunStates } from '../../src/worker/run-states';
import { recordedEngine } from './recorded-engine';

const engine = recordedEngine({
  pace: 20,
  states: browserRunStates,
  // The browser's own adapter decides, so that a browser without WebGPU shows what a person would see there.
  device: async () => {
    const adapter = await navigator.gpu?.requestAdapter();
    if (!adapter) return null;
    const { vendor, architecture, description } = adapter.info;
    const limits: Record<string, number> = {};
    for (const name of ['maxBufferSize', 'maxStorageBufferBindingSize', 'maxComputeWorkgroupStorageSize', 'maxComputeInvocationsPerWorkgroup'] as const) limits[name] = adapter.limits[name];
    return { vendor, architecture, description, software: true, features: [...adapter.features].slice(0, 6), limits, kernels: [{ work: 'matmul 256×128×128', variant: 'direct 8×4', gflops: 3.4 }, { work: 'matmul 256×344×128', variant: 'direct 8×4', gflops: 3.6 }] };
  },
});

// Errors cross with their hint, as the engine sends them.
const guarded = Object.fromEntries(
  Object.entries(engine).map(([name, call]) => [
    name,
    async (...args: unknown[]) => {
      try {
        return await (call as (...given: unknown[]) => unknown)(...args);
      } catch (error) {
        throw { ...toFailure(error), hint: (error as { hint?: string }).hint ?? '' };
      }
    },
  ]),
);
expose(guarded);
