// The whole configuration of a run: what a shareable link, run.json and the command line all say. Plain data, no engine.
// zod in its functional form: what is not used stays out of the first screen.
import { en } from 'zod/locales';
import * as z from 'zod/mini';
import { MOST_SCALE } from '../util/contrast';
import { ConfigError } from '../util/errors';
import { WEIGHT_KINDS } from '../util/packed';
import { ROLES, TASK_NAMES } from './tasks';

/** Where a model comes from. `files` are the files of a Hugging Face folder, by name; a hub name is `owner/model@revision`. */
export type ModelSource = { kind: 'builtin'; id: string } | { kind: 'files' | 'hub'; name: string };
/** Where the data come from. A file's text is never part of the configuration, only its name and hash; a hub name is `owner/data@revision:path`. */
export type DataSource = { kind: 'builtin'; id: string } | { kind: 'file' | 'hub'; name: string };

z.config(en());

const whole = (low: number, high = Number.MAX_SAFE_INTEGER) => z.int().check(z.minimum(low), z.maximum(high));
const between = (low: number, high: number) => z.number().check(z.minimum(low), z.maximum(high));
const notNegative = () => z.number().check(z.minimum(0));
const named = () => z.string().check(z.minLength(1));

const source = z.union([
  z.object({ kind: z.literal('builtin'), id: named() }),
  z.object({ kind: z.enum(['files', 'file', 'hub']), name: named() }),
]);

/** The column of a table that plays each role; see src/data/rows.ts. Empty: found by their usual names. */
const columns = z.partialRecord(z.enum(ROLES), z.string());

const training = z.object({
  steps: whole(1, 1_000_000),
  /** Rows in a batch. */
  batch: whole(1, 4096),
  /** Tokens in a row. */
  seq: whole(2, 131_072),
  /** Far beyond any use: a rate that diverges is stopped by name. What f32 cannot hold would leave nothing to keep. */
  lr: z.number().check(z.positive(), z.maximum(1e30)),
  schedule: z.enum(['constant', 'linear', 'cosine']),
  /** Steps of linear warm-up from 0. */
  warmup: whole(0),
  weightDecay: between(0, 1),
  /** Largest global gradient norm; 0 turns clipping off. */
  clip: notNegative(),
  beta1: z.number().check(z.minimum(0), z.lt(1)),
  beta2: z.number().check(z.minimum(0), z.lt(1)),
  eps: z.number().check(z.positive()),
  seed: whole(0, 2 ** 32 - 1),
  /** Steps between evaluations on held-out data; 0 = only at the start and the end. */
  evalEvery: whole(0),
  /** Steps between saved checkpoints; 0 = only at the end. */
  saveEvery: whole(0),
  /** The run ends at an evaluation whose loss is not above this; 0 = never. */
  stopAt: z.optional(notNegative()),
  /** The run ends after this many evaluations without a new lowest loss; 0 = never. */
  patience: z.optional(whole(0)),
});
export type TrainingConfig = z.infer<typeof training>;

const schema = z.object({
  version: z.literal(1),
  name: z.string().check(z.maxLength(120)),
  /** What the model learns: an entry of tasks.ts. */
  task: z._default(z.enum(TASK_NAMES), 'causal-lm'),
  model: source,
  data: source,
  /** How frozen weights are kept on the device; f32 where it is left out, 'auto': the widest with which the plan fits. */
  weights: z.optional(z.enum(['auto', ...WEIGHT_KINDS])),
  /** Share of rows (or of the text) held out for validation, unless a validation file is given. */
  holdout: between(0, 0.5),
  /** Share kept for a test, apart from training and validation; 0 where it is left out. */
  test: z.optional(between(0, 0.5)),
  columns: z.optional(columns),
  /** Of pictures sorted by texts: the text of a class, with {} for its name; DEFAULT_TEMPLATE where it is left out. */
  template: z.optional(z.string().check(z.maxLength(200))),
  /** Of pairs of texts: what cosines are multiplied by, 1 / temperature; CONTRAST's where it is left out. */
  scale: z.optional(z.number().check(z.positive(), z.maximum(MOST_SCALE))),
  /** Of pairs of texts: whether second texts look for their first ones too. */
  symmetric: z.optional(z.boolean()),
  /** Several short rows in one; not where it is left out. */
  pack: z.optional(z.boolean()),
  method: z.object({ slug: named(), fields: z.record(z.string(), z.union([z.number(), z.boolean(), z.string()])) }),
  /** Regular expression over site names ('model.layers.0.self_attn.q_proj'); a site is adapted when it matches anywhere in the name. Empty = every linear site of the blocks. */
  targets: z.string(),
  training,
  sample: z.object({
    prompt: z.string(),
    maxTokens: whole(1, 2048),
    temperature: between(0, 5),
    /** Steps between generations with adapters off and on; 0 = only at the start and the end. */
    every: whole(0),
  }),
});

export interface RunConfig extends Omit<z.infer<typeof schema>, 'model' | 'data'> {
  model: ModelSource;
  data: DataSource;
}

/** The text of a class where none is given (Radford et al. 2021, 3.1.4). */
export const DEFAULT_TEMPLATE = 'a photo of a {}';

/** Held-out batches that an evaluation looks at, spread evenly over what is held out. */
export const VALIDATION_BATCHES = 8;

export const defaultTraining: TrainingConfig = {
  steps: 200, batch: 4, seq: 64, lr: 2e-3, schedule: 'linear', warmup: 10, weightDecay: 0.01, clip: 1,
  beta1: 0.9, beta2: 0.999, eps: 1e-8, seed: 7, evalEvery: 25, saveEvery: 0, stopAt: 0, patience: 0,
};

export const defaultRun: RunConfig = {
  version: 1,
  name: '',
  task: 'causal-lm',
  model: { kind: 'builtin', id: 'tale-1m' },
  data: { kind: 'builtin', id: 'king-james' },
  holdout: 0.1,
  method: { slug: 'lora', fields: {} },
  targets: '',
  training: defaultTraining,
  sample: { prompt: 'Once upon a time', maxTokens: 40, temperature: 0.7, every: 50 },
};

/** A checked RunConfig, or a ConfigError that names the first wrong place. */
export function parseRunConfig(json: unknown): RunConfig {
  const result = schema.safeParse(json);
  if (result.success) return result.data as RunConfig;
  const issue = result.error.issues[0] as z.core.$ZodIssue;
  const wrong = issue.code === 'invalid_union' ? issue.errors.flat().map((other) => other.message).join(' or ') : issue.message;
  const got = issue.path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown> | undefined)?.[key], json);
  throw new ConfigError(`run config: ${issue.path.join('.') || '(top)'}: ${wrong}: got ${typeof got === 'number' ? got : JSON.stringify(got)}`);
}
