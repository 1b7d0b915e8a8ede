// What a run will take, before anything is allocated: the real train step, recorded on no device.
import { plan as planMemory } from '../engine/tensor/planner';
import type { Param } from '../engine/nn/site';
import { type Tensor, byteLength, elements, rootOf } from '../engine/tensor/tensor';
import { ConfigError, DeviceLimitError } from '../util/errors';
import { attach, countTrainable, selectSites } from './attach';
import type { Plan, PlanPart } from './card';
import type { RunConfig, TrainingConfig } from './config';
import type { BoundMethod, Phase } from './contract';
import { recordEvaluation } from './evaluate';
import { type LoadedModel, largestWeight } from './loaded';
import { recordTraining } from './step';
import { shapeOf } from './task';

export interface DeviceAllowance {
  /** Bytes in one buffer. */
  readonly largestBuffer: number;
}

export const phasesOf = ({ method, config }: BoundMethod, training: TrainingConfig): readonly Phase[] => method.phases?.(config, training) ?? [{ name: 'training', steps: training.steps }];

/** Every step of every phase. */
export const totalSteps = (bound: BoundMethod, run: RunConfig): number => phasesOf(bound, run.training).reduce((sum, phase) => sum + phase.steps, 0);

/** Refuses what cannot be trained, with what would do, before anything is made. */
export function checkRun({ model, network, info }: LoadedModel, { method, config }: BoundMethod, run: RunConfig): void {
  const { training } = run;
  if (!info.image && training.seq > info.context) throw new ConfigError(`training.seq: ${training.seq} tokens are more than the model's context of ${info.context}`, `Give a sequence length of at most ${info.context}.`);
  if (!method.info.models.includes(model.kind)) throw new ConfigError(`${method.info.name} adapts models of kind ${method.info.models.join(', ')}; this one is a ${model.kind}`, 'Choose another method, or another model.');
  if (method.info.wantsF32 && network.kind !== 'f32') throw new ConfigError(`${method.info.name} works on the base's own numbers, which are kept as ${network.kind}`, 'Keep the weights as f32, or choose a method that leaves them alone, as LoRA does.');
  method.check?.(selectSites(network, run.targets), config, training);
}

export function planRun(loaded: LoadedModel, bound: BoundMethod, run: RunConfig, allowance: DeviceAllowance): Plan {
  const { training } = run;
  checkRun(loaded, bound, run);
  const attachment = attach(loaded.network, bound, run.targets, { seed: training.seed });
  const step = recordTraining(loaded, bound, attachment, training);
  const memory = planMemory(step.graph.commands, [], [...step.gradients, ...step.jointGradients, ...step.directions].flatMap((g) => (g ? [rootOf(g)] : [])));
  const evaluation = recordEvaluation(loaded, attachment.adapters, shapeOf(loaded, training), { heads: attachment.heads });
  const held = planMemory(evaluation.graph.commands, [evaluation.loss, evaluation.count]);

  const constants = new Set<Tensor>();
  for (const command of memory.commands) for (const t of command.tensors) if (t.constant) constants.add(t);
  const weights = [...loaded.network.weights.values()].map((w) => w.tensor);
  const sum = (tensors: Iterable<Tensor>) => [...tensors].reduce((bytes, t) => bytes + byteLength(t), 0);
  const frozen = attachment.params.filter((p) => !p.trainable).map((p) => p.tensor);
  const optimiser = step.adamw.bytes;
  const bytes: PlanPart[] = [
    { part: 'Base weights', bytes: sum(weights), kind: 'base' },
    { part: 'Activations', bytes: memory.bytes, kind: 'base' },
    { part: 'Evaluation', bytes: held.bytes, kind: 'base' },
    { part: 'Tables and batch', bytes: sum(constants) + sum([...(Object.values(step.inputs) as Tensor[]), ...(Object.values(evaluation.inputs) as Tensor[]), step.ring.tensor, ...[...attachment.inputs.values()].map((input) => input.tensor)]), kind: 'base' },
    { part: 'Adapter', bytes: optimiser.params + (optimiser.frozen || sum(frozen)), kind: 'adapter' },
    { part: 'Gradients', bytes: optimiser.gradients, kind: 'adapter' },
    { part: 'AdamW moments', bytes: optimiser.moments, kind: 'adapter' },
    ...(step.lasting.size > 0 ? [{ part: 'Optimiser of the method', bytes: sum(step.lasting.values()), kind: 'adapter' } as const] : []),
  ];
  const weight = largestWeight(loaded);
  const largestBuffer = Math.max(...memory.sizes, ...held.sizes, weight, optimiser.params);
  const counted = new Set<Param>();
  const byModule = new Map<string, { trainable: number; sites: number }>();
  for (const site of [...attachment.sites, ...attachment.weights]) {
    const entry = byModule.get(site.module) ?? { trainable: 0, sites: 0 };
    // What sites share is counted where it first stands.
    const params = Object.values(attachment.adapters.get(site.name)?.params ?? {}).filter((p) => !counted.has(p));
    for (const p of params) counted.add(p);
    byModule.set(site.module, { trainable: entry.trainable + params.filter((p) => p.trainable).reduce((n, p) => n + elements(p.tensor), 0), sites: entry.sites + 1 });
  }
  for (const { module } of loaded.network.heads) {
    const parts = attachment.params.filter((p) => attachment.heads.has(p.name) && loaded.network.headOf(p.name)?.module === module);
    if (parts.length > 0) byModule.set(module, { trainable: countTrainable(parts), sites: 1 });
  }
  return {
    trainable: countTrainable(attachment.params),
    total: loaded.network.parameters,
    byModule: [...byModule].map(([module, counts]) => ({ module, ...counts })),
    bytes,
    peakBytes: bytes.reduce((n, part) => n + part.bytes, 0),
    largestBuffer,
    flopsPerStep: memory.commands.reduce((n, command) => n + command.flops, 0),
    dispatchesPerStep: memory.commands.length,
    ...problem(largestBuffer, weight, allowance, training),
  };
}

function problem(largest: number, weight: number, { largestBuffer }: DeviceAllowance, { batch, seq }: { batch: number; seq: number }): { problem?: { message: string; hint: string } } {
  if (largest <= largestBuffer) return {};
  const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
  const share = Math.floor((batch * largestBuffer) / largest);
  const hint = weight > largestBuffer ? 'No batch is small enough, since a weight of the model alone takes more: choose a smaller model.' : share >= 1 ? `Lower the batch from ${batch} to ${share}.` : `Lower the sequence length from ${seq} to ${Math.max(2, Math.floor((seq * batch * largestBuffer) / largest))} and the batch to 1.`;
  return { problem: { message: `the plan needs ${mib(largest)} in one buffer, this device allows ${mib(largestBuffer)}`, hint } };
}

/** Throws where the plan has a problem. */
export function wantFits(plan: Plan): void {
  if (plan.problem) throw new DeviceLimitError(plan.problem.message, plan.problem.hint);
}
