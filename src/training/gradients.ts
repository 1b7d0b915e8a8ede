// Mean gradients of the task's loss for frozen weights of the base: what an initialisation may look at before training.
import type { Device } from '../engine/gpu/device';
import { type LinearSite, noAdapters } from '../engine/nn/site';
import { accumulate } from '../engine/optim/vectors';
import { Graph } from '../engine/tensor/graph';
import { allocate, free, readF32, write } from '../engine/tensor/memory';
import { compile } from '../engine/tensor/step';
import { type Tensor, byteLength, tensor } from '../engine/tensor/tensor';
import type { LoadedModel } from './loaded';
import { type TokenBatch, batchTensors, callOf, hostInputs } from './task';
import { taskLoss } from './task-loss';

/** Sums of gradients that stand on the device at once, in bytes. More means fewer passes over the batches. */
const AT_ONCE = 256 * 2 ** 20;

/**
 * The mean over `batches` of the gradient of the mean loss of each, for the weight [out, in] of each site. Sites go through in groups
 * that fit the budget; each gradient is read when it is asked for.
 */
export async function* baseGradients(device: Device, loaded: LoadedModel, sites: readonly LinearSite[], batches: readonly TokenBatch[], shape: readonly [number, number], budget = AT_ONCE): AsyncGenerator<{ site: LinearSite; gradient: Float32Array }> {
  for (const group of groupsOf(sites, budget)) {
    const sums = group.map((site) => tensor(`${site.name}.gradient`, site.shape, 'param'));
    const [inputs, share] = [batchTensors(loaded, shape), tensor('share', [1], 'input')];
    const graph = new Graph();
    graph.record(() => {
      const { loss } = taskLoss(loaded, noAdapters, callOf(inputs, { training: true }), inputs.labels);
      graph.grad(loss, group.map((site) => site.weight)).forEach((g, i) => accumulate(sums[i] as Tensor, share, g));
    });
    for (const t of sums) allocate(device, t);
    const step = await compile(device, graph);
    try {
      write(device, share, Float32Array.of(1 / batches.length));
      for (const [i, batch] of batches.entries()) {
        step.run(hostInputs(inputs, batch), { step: i + 1 });
        await device.idle();
      }
      for (const [i, site] of group.entries()) yield { site, gradient: await readF32(device, sums[i] as Tensor) };
    } finally {
      step.dispose();
      for (const t of [...sums, ...(Object.values(inputs) as Tensor[]), share]) free(device, t);
    }
  }
}

function groupsOf(sites: readonly LinearSite[], budget: number): LinearSite[][] {
  const groups: LinearSite[][] = [];
  let room = 0;
  for (const site of sites) {
    const bytes = byteLength(site.weight);
    if (groups.length === 0 || bytes > room) {
      groups.push([]);
      room = budget;
    }
    groups.at(-1)?.push(site);
    room -= bytes;
  }
  return groups;
}
