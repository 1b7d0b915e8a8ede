// The training block as declared fields, so that the same controls draw it as a method's own settings; and its presets.
import { defaultTraining, type Field, type Fields, type TrainingConfig } from '../../store/contract';
import { strings } from '../strings';

const words = strings.training;
const said = (name: keyof Omit<typeof words, 'schedules'>) => ({ label: words[name][0], help: words[name][1] });
const schedule: Field = {
  kind: 'choice', ...said('schedule'), default: defaultTraining.schedule,
  options: Object.entries(words.schedules).map(([value, label]) => ({ value, label })),
};

/** Settings that everyone looks at. */
export function mainFields(context: number): Fields {
  return {
    lr: { kind: 'float', ...said('lr'), default: defaultTraining.lr, min: 1e-6, max: 0.1, log: true },
    steps: { kind: 'int', ...said('steps'), default: defaultTraining.steps, min: 1, max: 100_000, log: true },
    batch: { kind: 'int', ...said('batch'), default: defaultTraining.batch, min: 1, max: 256, log: true },
    seq: { kind: 'int', ...said('seq'), default: defaultTraining.seq, min: 8, max: Math.max(16, context), log: true },
    warmup: { kind: 'int', ...said('warmup'), default: defaultTraining.warmup, min: 0, max: 1000 },
    weightDecay: { kind: 'float', ...said('weightDecay'), default: defaultTraining.weightDecay, min: 0, max: 0.5 },
    schedule,
  };
}

/** Settings that are there for who looks for them. */
export const moreFields: Fields = {
  clip: { kind: 'float', ...said('clip'), default: defaultTraining.clip, min: 0, max: 10 },
  seed: { kind: 'int', ...said('seed'), default: defaultTraining.seed, min: 0, max: 2 ** 32 - 1 },
  evalEvery: { kind: 'int', ...said('evalEvery'), default: defaultTraining.evalEvery, min: 0, max: 10_000 },
  stopAt: { kind: 'float', ...said('stopAt'), default: 0, min: 0, max: 20 },
  patience: { kind: 'int', ...said('patience'), default: 0, min: 0, max: 100 },
  beta1: { kind: 'float', ...said('beta1'), default: defaultTraining.beta1, min: 0, max: 0.999 },
  beta2: { kind: 'float', ...said('beta2'), default: defaultTraining.beta2, min: 0, max: 0.9999 },
};

export const sampleFields: Fields = {
  every: { kind: 'int', ...said('sampleEvery'), default: 50, min: 0, max: 10_000 },
  maxTokens: { kind: 'int', ...said('maxTokens'), default: 40, min: 1, max: 512, log: true },
  temperature: { kind: 'float', ...said('temperature'), default: 0.7, min: 0, max: 2 },
};

export type Preset = 'quick' | 'balanced' | 'thorough';
type Block = Pick<TrainingConfig, 'steps' | 'batch' | 'seq' | 'lr' | 'schedule' | 'warmup' | 'evalEvery'>;

/** Presets set the training block only; the seed, decay, clipping and AdamW's constants stay as they are. */
export const PRESETS: Record<Preset, Block> = {
  quick: { steps: 60, batch: 4, seq: 64, lr: 3e-3, schedule: 'linear', warmup: 5, evalEvery: 30 },
  balanced: {
    steps: defaultTraining.steps, batch: defaultTraining.batch, seq: defaultTraining.seq, lr: defaultTraining.lr,
    schedule: defaultTraining.schedule, warmup: defaultTraining.warmup, evalEvery: defaultTraining.evalEvery,
  },
  thorough: { steps: 1000, batch: 8, seq: 128, lr: 1e-3, schedule: 'cosine', warmup: 50, evalEvery: 50 },
};

/** The preset that the block equals, or '' where it was changed by hand. */
export function presetOf(training: TrainingConfig): Preset | '' {
  const names = Object.keys(PRESETS) as Preset[];
  return names.find((name) => Object.entries(PRESETS[name]).every(([key, value]) => training[key as keyof Block] === value)) ?? '';
}
