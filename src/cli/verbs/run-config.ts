// finetune and plan read the same flags: they become the same RunConfig as the page's.
import { type RunConfig, type TrainingConfig, defaultRun, parseRunConfig } from '../../training/config';
import { type BoundMethod, bind } from '../../training/contract';
import { methodFor } from '../../methods/registry';
import { type Flags, need, pairs, parse, weightsOf } from '../options';
import { columnsOf, isHub, sourceOf } from '../sources';
import { taskNamed } from '../task';
import type { TaskName } from '../../training/tasks';

const flags = {
  model: 'text', task: 'text', data: 'text', method: 'text', set: 'list', targets: 'text', steps: 'number', batch: 'number', seq: 'number', lr: 'number', seed: 'number',
  schedule: 'text', warmup: 'number', 'weight-decay': 'number', clip: 'number',
  'held-out': 'number', test: 'number', columns: 'text', pack: 'flag', template: 'text', scale: 'number', symmetric: 'flag', weights: 'text',
  'eval-every': 'number', val: 'text', from: 'text', 'save-every': 'number', out: 'text', resume: 'text',
} as const satisfies Flags;

export interface RunFlags {
  readonly config: RunConfig;
  readonly bound: BoundMethod;
  readonly model: string;
  /** Name of the task, where one is given. */
  readonly task: TaskName | undefined;
  readonly data: string | undefined;
  readonly validation: string | undefined;
  readonly out: string | undefined;
  readonly resume: string | undefined;
  /** An adapter to go on from. */
  readonly from: string | undefined;
  readonly json: boolean;
  readonly backend: string | undefined;
}

export function runFlags(verb: string, args: readonly string[]): RunFlags {
  const { values: v } = parse(verb, args, flags);
  const model = need(verb, 'model', v.model);
  const given = pairs(verb, v.set ?? []);
  const method = methodFor(need(verb, 'method', v.method));
  const base = defaultRun.training;
  // --set takes a method's fields, and any other training setting by its name in run.json.
  const trainingKeys = Object.keys(base).filter((key) => key in given && !(key in method.info.fields));
  const training = {
    ...base,
    steps: v.steps ?? base.steps, batch: v.batch ?? base.batch, seq: v.seq ?? base.seq, lr: v.lr ?? base.lr, seed: v.seed ?? base.seed,
    schedule: v.schedule ?? base.schedule, warmup: v.warmup ?? Math.min(base.warmup, v.steps ?? base.steps), weightDecay: v['weight-decay'] ?? base.weightDecay, clip: v.clip ?? base.clip,
    evalEvery: v['eval-every'] ?? 0, saveEvery: v['save-every'] ?? 0,
    ...Object.fromEntries(trainingKeys.map((key) => [key, given[key]])),
  } as TrainingConfig;
  const fields = Object.fromEntries(Object.entries(given).filter(([key]) => !trainingKeys.includes(key)));
  const config = parseRunConfig({
    ...defaultRun,
    model: isHub(model) ? sourceOf(model) : { kind: 'files', name: model }, data: sourceOf(v.data ?? 'none'),
    holdout: v['held-out'] ?? defaultRun.holdout, ...(v.test ? { test: v.test } : {}), ...(v.columns ? { columns: columnsOf(verb, v.columns) } : {}), ...(v.pack ? { pack: true } : {}), ...(v.template ? { template: v.template } : {}), ...(v.scale === undefined ? {} : { scale: v.scale }), ...(v.symmetric ? { symmetric: true } : {}), ...(v.weights ? { weights: v.weights === 'auto' ? 'auto' : weightsOf(verb, v.weights) } : {}),
    method: { slug: method.info.slug, fields }, targets: v.targets ?? '', training,
    sample: { ...defaultRun.sample, every: 0 },
  });
  return { config, bound: bind(method, fields), model, task: taskNamed(verb, v.task), data: v.data, validation: v.val, out: v.out, resume: v.resume, from: v.from, json: v.json ?? false, backend: v['adapter-backend'] };
}
