// What tests compare: a model's logits, a layer's weight, and how far two sets of numbers are apart.
import type { Device } from '../../engine/gpu/device';
import type { Adapter, Adapters } from '../../engine/nn/site';
import { Graph } from '../../engine/tensor/graph';
import { readF32 } from '../../engine/tensor/memory';
import { compile } from '../../engine/tensor/step';
import { Evaluator, type TokenBatch } from '../../training/evaluate';
import type { LoadedModel } from '../../training/loaded';
import { SHAPE } from './runs';

export async function logitsOf(device: Device, loaded: LoadedModel, adapters: Adapters, batch: TokenBatch, shape: readonly [number, number] = SHAPE): Promise<Float32Array> {
  const evaluator = await Evaluator.create(device, loaded, adapters, shape, { logits: true, mask: batch.attention_mask !== undefined });
  const logits = await evaluator.logitsOf(batch);
  evaluator.dispose();
  return logits;
}

/** W' of a layer, [out, in], with its parameters as they stand. */
export async function weightOf(device: Device, adapter: Adapter): Promise<Float32Array> {
  const graph = new Graph();
  const weight = graph.record(() => adapter.weight());
  const step = await compile(device, graph, { keep: [weight] });
  step.run();
  const numbers = await step.read(weight);
  step.dispose();
  return numbers;
}

/** Largest difference as a share of the largest of `want`; NaN where any number is not finite. */
export function share(got: ArrayLike<number>, want: ArrayLike<number>): number {
  if (got.length !== want.length) throw new Error(`${got.length} numbers, wanted ${want.length}`);
  let [worst, largest] = [0, 0];
  for (let i = 0; i < want.length; i++) {
    worst = Math.max(worst, Math.abs((got[i] as number) - (want[i] as number)));
    largest = Math.max(largest, Math.abs(want[i] as number));
  }
  return worst / largest;
}

/** Every base weight's numbers, by name. */
export async function weightsOf(device: Device, { network }: LoadedModel): Promise<Map<string, Float32Array>> {
  return new Map(await Promise.all([...network.weights].map(async ([name, { tensor }]) => [name, await readF32(device, tensor)] as const)));
}

export const length = (x: ArrayLike<number>): number => Math.sqrt(Array.from(x).reduce((sum, v) => sum + v * v, 0));
