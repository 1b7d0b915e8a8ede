// The host's part before the first step: the method looks at weights and gradients, with progress, and can be stopped.
import type { Dataset } from '../data/dataset';
import type { Device } from '../engine/gpu/device';
import { streamOf } from '../engine/nn/init';
import type { LinearSite } from '../engine/nn/site';
import { readF32 } from '../engine/tensor/memory';
import { StoppedError } from '../util/errors';
import { normal, shuffle, uniform } from '../util/random';
import type { TrainingConfig } from './config';
import type { BoundMethod } from './contract';
import { baseGradients } from './gradients';
import type { Random, RunState } from './host';
import type { LoadedModel } from './loaded';
import { shapeOf } from './task';

export interface PrepareOptions {
  readonly device: Device;
  readonly loaded: LoadedModel;
  readonly data: Pick<Dataset, 'batch'>;
  readonly training: TrainingConfig;
  readonly signal?: AbortSignal;
  readonly progress?: (done: number, total: number) => void;
}

export interface Prepared {
  readonly shared: unknown;
  readonly state: RunState;
  /** What the method's preparation took; null where it has none. */
  readonly seconds: number | null;
}

export const randomOf = (seed: number): Random => ({
  uniform: (name, counter) => uniform(seed, streamOf(name), counter),
  normal: (name, counter) => normal(seed, streamOf(name), counter),
  shuffle: (name, count) => shuffle(count, seed, streamOf(name)),
});

export async function prepare({ method, config }: BoundMethod, sites: readonly LinearSite[], { device, loaded, data, training, signal, progress }: PrepareOptions): Promise<Prepared> {
  const state: RunState = {};
  if (!method.prepare) return { shared: null, state, seconds: null };
  const wantGoing = () => {
    if (signal?.aborted) throw new StoppedError('the run was stopped while it was being prepared');
    device.check();
  };
  const from = performance.now();
  const shared = await method.prepare({
    device, sites, state,
    random: randomOf(training.seed),
    async weight(site) {
      wantGoing();
      return readF32(device, site.weight);
    },
    async *gradients({ batches, sites: some = sites }) {
      const chosen = Array.from({ length: batches }, (_, i) => data.batch(i));
      for await (const found of baseGradients(device, loaded, some, chosen, shapeOf(loaded, training))) {
        wantGoing();
        yield found;
      }
    },
    async progress(done, total) {
      progress?.(done, total);
      // Lets a wish to stop come in.
      await new Promise((resolve) => setTimeout(resolve, 0));
      wantGoing();
    },
  }, config);
  return { shared, state, seconds: (performance.now() - from) / 1000 };
}
