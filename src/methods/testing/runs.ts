// Runs of a method on a tiny model and on batches made by a test, driven through the same door as page and command line.
import type { Batch, Dataset } from '../../data/dataset';
import type { Device } from '../../engine/gpu/device';
import { type ByteSource, type NewTensor, bytesSource, openSafetensors, writeSafetensors } from '../../formats/safetensors';
import { type RunConfig, type TrainingConfig, defaultRun } from '../../training/config';
import { type Method, bind } from '../../training/contract';
import type { TokenBatch } from '../../training/evaluate';
import type { RunEvent } from '../../training/events';
import type { LoadedModel } from '../../training/loaded';
import type { LiveRun } from '../../training/live';
import { Run } from '../../training/run';
import { methodFor } from '../registry';
import { tokens } from './random';

export const SHAPE = [2, 12] as const;
const VOCAB = 64;

/** Batches by step and held-out batches, with a hash of their own. */
export interface TestData {
  readonly batch: (step: number) => TokenBatch;
  readonly validation?: () => TokenBatch[];
  readonly hash?: string;
}

export function datasetOf({ batch, validation = () => [], hash = 'a'.repeat(64) }: TestData): Dataset {
  const counted = (b: TokenBatch): Batch => ({ ...b, lossTokens: b.labels.filter((label) => label >= 0).length });
  return {
    summary: { name: 'test', format: 'text', hash, rows: 1, tokens: 1, trainRows: 1, validationRows: 1, cutRows: 0, lengths: { width: 1, counts: [] }, preview: [], warnings: [] },
    trainTokens: 1,
    validationTokens: 1,
    batch: (step) => counted(batch(step)),
    validation: () => validation().map(counted),
  };
}

/** Random tokens that predict one another. */
export function randomBatch(name: string, [batch, seq]: readonly [number, number] = SHAPE): TokenBatch {
  const input_ids = tokens(batch * seq, VOCAB, name);
  return { input_ids, labels: Int32Array.from(input_ids) };
}
/** Four random batches in turn, and one of them held out. */
export const randomData: TestData = { batch: (step) => randomBatch(`batch ${step % 4}`), validation: () => [randomBatch('batch 0')] };
/** Without a label the loss is 0, and so is every gradient, exactly. */
export const unlabelled: TestData = { batch: (step) => ({ ...randomBatch(`batch ${step % 4}`), labels: new Int32Array(SHAPE[0] * SHAPE[1]).fill(-100) }) };

/** A constant rate and no decay or clipping unless the test asks for it: fewer things to think of. */
export const plain: TrainingConfig = {
  steps: 4, batch: SHAPE[0], seq: SHAPE[1], lr: 1e-2, schedule: 'constant', warmup: 0, weightDecay: 0, clip: 0,
  beta1: 0.9, beta2: 0.999, eps: 1e-8, seed: 7, evalEvery: 0, saveEvery: 0,
};

export interface RunSetup {
  readonly device: Device;
  readonly loaded: LoadedModel;
  /** A registered method by its slug, or any. */
  readonly slug?: string;
  readonly method?: Method;
  readonly fields?: Readonly<Record<string, number | boolean | string>>;
  readonly targets?: string;
  readonly training?: Partial<TrainingConfig>;
  readonly data?: TestData;
  readonly resume?: Uint8Array;
  readonly samples?: boolean;
  readonly sample?: RunConfig['sample'];
  readonly save?: (bytes: Uint8Array, step: number, run: Run) => void;
  /** Sees every event as it comes, with the run. */
  readonly watch?: (event: RunEvent, run: Run) => void;
}

export interface TestRun {
  readonly run: Run;
  readonly events: RunEvent[];
  readonly config: RunConfig;
}

const methodOf = ({ slug = 'lora', method }: Pick<RunSetup, 'slug' | 'method'>): Method => method ?? methodFor(slug);

export const configOf = (setup: Pick<RunSetup, 'slug' | 'method' | 'fields' | 'targets' | 'training'>): RunConfig => {
  const { fields = {}, targets = '', training = {} } = setup;
  return { ...defaultRun, method: { slug: methodOf(setup).info.slug, fields: { ...fields } }, targets, training: { ...plain, ...training } };
};

export async function createRun(setup: RunSetup): Promise<TestRun> {
  const { device, loaded, fields = {}, data = randomData, resume, samples = false, save, watch } = setup;
  const config = { ...configOf(setup), ...(setup.sample ? { sample: setup.sample } : {}) };
  const events: RunEvent[] = [];
  const made: { run?: Run } = {};
  const listener = (event: RunEvent) => {
    events.push(event);
    watch?.(event, made.run as Run);
  };
  const source: { resume?: ByteSource } = resume ? { resume: bytesSource('checkpoint.safetensors', resume) } : {};
  const run = await Run.create({
    device, loaded, data: datasetOf(data), bound: bind(methodOf(setup), fields), config, listener, samples, ...source,
    ...(save ? { save: async (bytes: Uint8Array, step: number) => save(bytes, step, made.run as Run) } : {}),
  });
  made.run = run;
  return { run, events, config };
}

/** What is left of a run that was trained to its end. */
/** What a run has on the device. */
export const liveOf = (run: Run): LiveRun => (run as unknown as { live: LiveRun }).live;

export interface Trained extends TestRun {
  readonly reason: string;
  readonly checkpoint: Uint8Array;
  /** Every series by name, one number a step, in the order of the events. */
  readonly series: Readonly<Record<string, number[]>>;
}

/** Trains to the end, hands what is left to `look`, and frees all of it. */
export async function trained<T>(setup: RunSetup, look: (done: Trained) => T | Promise<T>): Promise<T> {
  const made = await createRun(setup);
  try {
    const reason = await made.run.train();
    return await look({ ...made, reason, checkpoint: await made.run.checkpoint(), series: seriesOf(made.events) });
  } finally {
    made.run.dispose();
  }
}

/** The columns of all metrics events, joined. */
export function seriesOf(events: readonly RunEvent[]): Record<string, number[]> {
  const all: Record<string, number[]> = {};
  for (const event of events) {
    if (event.kind !== 'metrics') continue;
    event.values.forEach((value, i) => {
      const name = event.series[i % event.series.length] as string;
      (all[name] ??= []).push(value);
    });
  }
  return all;
}

/** The numbers in a checkpoint, by name: 'param.…', 'adam.m.…', 'adam.v.…'; whole numbers as numbers. */
export async function numbersOf(checkpoint: Uint8Array): Promise<Map<string, Float32Array>> {
  const file = await openSafetensors(bytesSource('checkpoint.safetensors', checkpoint));
  return new Map(await Promise.all(file.entries.map(async ({ name, dtype }) => [name, dtype === 'F32' ? await file.f32(name) : Float32Array.from(await file.ints(name))] as const)));
}

/** The same checkpoint with other numbers or other metadata: where a test wants a run to stand. */
export async function edited(checkpoint: Uint8Array, numbers: (name: string, was: Float32Array) => Float32Array, metadata: Readonly<Record<string, string>> = {}): Promise<Uint8Array> {
  const file = await openSafetensors(bytesSource('checkpoint.safetensors', checkpoint));
  const tensors: NewTensor[] = [];
  for (const { name, shape, dtype } of file.entries) {
    if (dtype === 'F32') tensors.push({ name, dtype, shape, data: numbers(name, await file.f32(name)) });
    else tensors.push({ name, dtype: 'U32', shape, data: new Uint32Array(await file.ints(name)) });
  }
  return writeSafetensors(tensors, { ...file.metadata, ...metadata });
}

/** A checkpoint of a run of this setup that has not taken a step, its parameters as `numbers` says (short name of the site's parameter in front). */
export async function startOf(setup: RunSetup, numbers: (name: string, was: Float32Array) => Float32Array): Promise<Uint8Array> {
  const { run } = await createRun(setup);
  const bytes = await run.checkpoint();
  run.dispose();
  return edited(bytes, (name, was) => (name.startsWith('param.') ? numbers(name.slice('param.'.length), was) : was));
}

/** Whether two files are the same, byte for byte: a comparison that does not print a hundred thousand numbers when they are not. */
export const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, i) => byte === b[i]);

/** The parameters of a checkpoint without the rest, as one text to compare. */
export async function parametersOf(checkpoint: Uint8Array): Promise<string> {
  const numbers = [...(await numbersOf(checkpoint))].filter(([name]) => name.startsWith('param.'));
  return numbers.map(([name, values]) => `${name} ${values.join()}`).join('\n');
}
