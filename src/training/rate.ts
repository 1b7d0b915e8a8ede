// How fast this device is, measured: the ground of every time estimate.
import type { Device } from '../engine/gpu/device';
import { noAdapters } from '../engine/nn/site';
import { elements } from '../engine/tensor/tensor';
import { Evaluator } from './evaluate';
import type { LoadedModel } from './loaded';
import { batchTensors } from './task';

export interface Rate {
  readonly flopsPerSecond: number;
  /** What was timed, for the user. */
  readonly source: string;
}

/** Times one forward pass of one row, the second of two. */
export async function measureRate(device: Device, loaded: LoadedModel): Promise<Rate> {
  const time = Math.min(64, loaded.info.context);
  const evaluator = await Evaluator.create(device, loaded, noAdapters, [1, time]);
  const { ids, labels, pixels, ends } = batchTensors(loaded, [1, time]);
  const batch = {
    input_ids: new Uint32Array(ids ? elements(ids) : 0), labels: new Int32Array(elements(labels)),
    ...(pixels ? { pixel_values: new Float32Array(elements(pixels)) } : {}), ...(ends ? { text_ends: new Uint32Array(elements(ends)) } : {}),
  };
  await evaluator.mean([batch]);
  const start = performance.now();
  await evaluator.mean([batch]);
  const seconds = (performance.now() - start) / 1000;
  evaluator.dispose();
  return { flopsPerSecond: evaluator.flops / seconds, source: `one forward pass of ${time} tokens, timed on this device` };
}
