// How fast this device is, measured: the ground of every time estimate.
import type { Device } from '../engine/gpu/device';
import { noAdapters } from '../engine/nn/site';
import { labelsOf } from '../models/model';
import { Evaluator } from './evaluate';
import type { LoadedModel } from './loaded';

export interface Rate {
  readonly flopsPerSecond: number;
  /** What was timed, for the user. */
  readonly source: string;
}

/** Times one forward pass of one row, the second of two. */
export async function measureRate(device: Device, loaded: LoadedModel): Promise<Rate> {
  const time = Math.min(64, loaded.info.context);
  const evaluator = await Evaluator.create(device, loaded, noAdapters, [1, time]);
  const { image, textEnd } = loaded.info;
  const classes = labelsOf(loaded.task);
  const texts = textEnd === undefined ? 1 : (classes?.length ?? 1);
  const batch = {
    input_ids: new Uint32Array(texts * time), labels: new Int32Array(classes ? 1 : time),
    ...(image ? { pixel_values: new Float32Array(image.channels * image.size ** 2) } : {}), ...(textEnd === undefined ? {} : { text_ends: new Uint32Array(texts) }),
  };
  await evaluator.mean([batch]);
  const start = performance.now();
  await evaluator.mean([batch]);
  const seconds = (performance.now() - start) / 1000;
  evaluator.dispose();
  return { flopsPerSecond: evaluator.flops / seconds, source: `one forward pass of ${time} tokens, timed on this device` };
}
