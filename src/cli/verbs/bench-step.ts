// What one training step costs, on a model of a known shape with random weights. Also the step that `peers` and `growth` time.
import { drawn } from '../../engine/nn/init';
import { Network } from '../../engine/nn/network';
import { noAdapters } from '../../engine/nn/site';
import type { Device } from '../../engine/gpu/device';
import { limitsOf, rooflineShare, trafficOf } from '../../engine/ops/roofline';
import { Graph } from '../../engine/tensor/graph';
import { free, upload, write } from '../../engine/tensor/memory';
import { type Step, compile } from '../../engine/tensor/step';
import type { Tensor } from '../../engine/tensor/tensor';
import { methodFor } from '../../methods/registry';
import { modelFor, taskOf } from '../../models/registry';
import { shapes } from '../../models/shapes';
import { type Attachment, attach, initialise, selectSites } from '../../training/attach';
import { timeParts } from '../../training/bench';
import { type TrainingConfig, defaultRun, defaultTraining } from '../../training/config';
import { type BoundMethod, bind } from '../../training/contract';
import { type LoadedModel, freeWeights } from '../../training/loaded';
import { checkRun } from '../../training/plan';
import { prepare } from '../../training/prepare';
import { type TrainingStep, groupSettings, recordTraining } from '../../training/step';
import { batchTensors, callOf, hostInputs } from '../../training/task';
import { callModel } from '../../training/task-loss';
import { UsageError } from '../options';
import type { WeightKind } from '../../util/packed';
import { type Output, bytesText } from '../output';

export interface StepSpec {
  readonly shape: string;
  readonly method: string;
  readonly rank: number;
  readonly batch: number;
  readonly seq: number;
  /** Further fields of the method. */
  readonly fields?: Readonly<Record<string, unknown>>;
  /** How frozen weights are kept. */
  readonly weights: WeightKind;
  /** Blocks, where not the shape's own number. */
  readonly layers?: number;
}

export const median = (xs: readonly number[]): number => [...xs].sort((a, b) => a - b)[Math.floor(xs.length / 2)] as number;

/** config.json of a known shape, with another number of blocks where that is asked for. */
function configOf(shape: string, layers?: number): object {
  const json = shapes[shape];
  if (!json) throw new UsageError(`bench: there is no shape '${shape}'; the shapes are ${Object.keys(shapes).join(', ')}`);
  return layers === undefined ? json : { ...json, ...('n_layer' in json ? { n_layer: layers } : { num_hidden_layers: layers }) };
}

/** A start for a frozen weight: ones for norms, small uniform numbers for the rest. */
const weightInit = ({ shape }: Tensor): Parameters<typeof drawn>[0] => (shape.length === 1 ? { kind: 'ones' } : { kind: 'kaimingUniform', fanIn: 3 * (shape[1] as number) });
export const randomWeight = (t: Tensor): Float32Array => drawn(weightInit(t), t.shape, 1, t.label);

/** A model of a known shape with small random weights on the device. */
export function randomModel(device: Device, shape: string, layers?: number, weights: WeightKind = 'f32'): LoadedModel {
  const json = configOf(shape, layers);
  const model = modelFor(json);
  const config = model.parse(json);
  const task = taskOf(json);
  const info = model.info(config);
  const network = new Network(model.heads?.(config, task), weights);
  new Graph().record(() => callModel({ model, network, config, task }, noAdapters, callOf(batchTensors({ model, info, task }, [1, 2]), { training: false })));
  for (const { tensor: t } of network.weights.values()) upload(device, t, randomWeight(t));
  return { name: shape, model, task, config, info, network, folder: null as never, tokenizer: null, fileBytes: 0, dtype: 'F32' };
}

/** Token ids that look like nothing in particular. */
export const idsOf = (count: number, vocab: number): Uint32Array => Uint32Array.from({ length: count }, (_, i) => (i * 7919) % vocab);

export interface PreparedStep {
  readonly loaded: LoadedModel;
  readonly bound: BoundMethod;
  readonly attachment: Attachment;
  readonly recorded: TrainingStep;
  readonly step: Step;
  /** Milliseconds from recording to the last pipeline. */
  readonly compileMs: number;
  /** What the method's look at weights and gradients took; null where it has none. */
  readonly prepareSeconds: number | null;
  /** Encodes and submits one step; waits for nothing. */
  run(): void;
  dispose(): void;
}

/** The method at the rank, where it has a field of that name, and with the further fields. */
function boundOf({ method: slug, rank, fields }: StepSpec): BoundMethod {
  const method = methodFor(slug);
  return bind(method, { ...('rank' in method.info.fields ? { rank } : {}), ...fields });
}

/** Everything that a step needs, on the device. The labels are the ids. */
export async function prepareStep(device: Device, spec: StepSpec, settings: Partial<TrainingConfig> = {}, progress?: (done: number, total: number) => void): Promise<PreparedStep> {
  const { shape, batch, seq, layers, weights } = spec;
  const loaded = randomModel(device, shape, layers, weights);
  if (seq > loaded.info.context) throw new UsageError(`bench: --seq ${seq}: ${shape} takes at most ${loaded.info.context} tokens`);
  const bound = boundOf(spec);
  const training = { ...defaultTraining, batch, seq, ...settings };
  try {
    checkRun(loaded, bound, { ...defaultRun, training, targets: '' });
  } catch (error) {
    freeWeights(device, loaded);
    throw error;
  }
  const ids = idsOf(batch * seq, loaded.info.vocab);
  const rows = { input_ids: ids, labels: Int32Array.from(ids), lossTokens: ids.length };
  const { shared, state, seconds: prepareSeconds } = await prepare(bound, selectSites(loaded.network, ''), { device, loaded, data: { batch: () => rows }, training });
  const start = performance.now();
  const attachment = attach(loaded.network, bound, '', { shared, state });
  const recorded = recordTraining(loaded, bound, attachment, training);
  recorded.adamw.allocate(device, groupSettings(bound, training));
  recorded.ring.allocate(device);
  initialise(device, attachment, 1);
  const step = await compile(device, recorded.graph, { place: recorded.adamw.places(device, recorded.gradients, recorded.directions, recorded.jointGradients), ...(progress ? { progress } : {}) });
  const compileMs = performance.now() - start;
  // What choosing kernels took is gone again, and is no part of a step.
  device.peakBytes = device.bytes;
  for (const [t, data] of hostInputs(recorded.inputs, rows)) write(device, t, data);
  let number = 0;
  return {
    loaded, bound, attachment, recorded, step, compileMs, prepareSeconds,
    run: () => step.run(null, { step: ++number, seed: 1, lr: settings.lr ?? 1e-4, ...recorded.adamw.bias(number) }),
    dispose() {
      step.dispose();
      recorded.adamw.dispose(device);
      recorded.ring.dispose(device);
      for (const t of Object.values(recorded.inputs) as Tensor[]) free(device, t);
      freeWeights(device, loaded);
    },
  };
}

/** Milliseconds of `runs` steps, each waited for. */
export async function timeEach(device: Device, run: () => void, runs: number): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < runs; i++) {
    const start = performance.now();
    run();
    await device.idle();
    times.push(performance.now() - start);
  }
  return times;
}

export async function benchStep(device: Device, spec: StepSpec & { runs: number; profile: boolean }, output: Output): Promise<void> {
  const { shape, method, batch, seq, weights, runs } = spec;
  const prepared = await prepareStep(device, spec, {}, (done, total) => output.progress(`compiling ${done}/${total}`));
  const { step, bound: { config } } = prepared;
  // Some methods have no rank, or several.
  const ranked = 'rank' in config ? { rank: config.rank } : {};
  for (let i = 0; i < 3; i++) prepared.run();
  await device.idle();
  const times = await timeEach(device, prepared.run, runs);
  const start = performance.now();
  for (let i = 0; i < runs; i++) prepared.run();
  const encode = (performance.now() - start) / runs;
  await device.idle();
  const pipelined = (performance.now() - start) / runs;
  const [ms, least] = [median(times), Math.min(...times)];
  output.event(
    { event: 'step', shape, method, ...ranked, batch, seq, dtype: weights, ms, ms_min: least, ms_pipelined: pipelined, ms_encode: encode, prepare_s: prepared.prepareSeconds, tokens_per_s: Math.round((1000 * batch * seq) / ms), dispatches: step.cost.dispatches, gflop: step.cost.flops / 1e9, gflops: step.cost.flops / ms / 1e6, peak_bytes: device.peakBytes },
    `${shape}, ${method}${'rank' in ranked ? ` r ${ranked.rank}` : ''}, ${batch} × ${seq}, weights ${weights}: ${ms.toFixed(2)} ms a step (least ${least.toFixed(2)}, in a row ${pipelined.toFixed(2)}, of that encoding ${encode.toFixed(2)}), ${Math.round((1000 * batch * seq) / ms)} tokens/s, ${step.cost.dispatches} dispatches, ${(step.cost.flops / ms / 1e9).toFixed(2)} TFLOP/s, peak ${bytesText(device.peakBytes)}`,
  );
  if (spec.profile) await showProfile(device, step, output);
  prepared.dispose();
}

/** Where a step's time goes, kernel by kernel and product by product, the dearest first. */
async function showProfile(device: Device, step: Step, output: Output): Promise<void> {
  const parts = await timeParts(device, step, (done, total) => output.progress(`timing kernels ${done}/${total}`));
  const limits = await limitsOf(device);
  const groups = new Map<string, { count: number; ms: number; flops: number; bytes: number }>();
  for (const { kernel, command, count, ms } of parts) {
    const { m, n, k, ta, tb } = command.params;
    const name = command.family.name === 'matmul' ? `${kernel.key} ${m}×${n}×${k} ${ta ? 'T' : 'N'}${tb ? 'T' : 'N'}` : kernel.key;
    const group = groups.get(name) ?? { count: 0, ms: 0, flops: 0, bytes: 0 };
    groups.set(name, { count: group.count + count, ms: group.ms + count * ms, flops: group.flops + count * command.flops, bytes: group.bytes + count * trafficOf(command) });
  }
  const total = [...groups.values()].reduce((sum, { ms }) => sum + ms, 0);
  for (const [name, { count, ms, flops, bytes }] of [...groups].sort((a, b) => b[1].ms - a[1].ms)) {
    const { share: roofline, bound } = rooflineShare(limits, { flops, bytes, ms });
    output.event(
      { event: 'profile', kernel: name, count, ms, share: ms / total, gflops: flops / ms / 1e6, gbps: bytes / ms / 1e6, roofline, bound },
      `${((100 * ms) / total).toFixed(1).padStart(5)} %  ${ms.toFixed(3).padStart(9)} ms  ${String(count).padStart(4)} ×  ${(flops / ms / 1e6).toFixed(0).padStart(7)} GFLOP/s  ${(100 * roofline).toFixed(0).padStart(4)} % of the roofline (${bound})  ${name}`,
    );
  }
}
