// Setups for who has never trained anything: a question each, with everything that answers it. What this build lacks is left out.
import { defaultRun, type RunConfig } from '../../store/contract';
import type { EngineSlice } from '../../store/slices/engine';
import { PRESETS } from '../build/training-fields';

export type RecipeId = 'voice' | 'format' | 'ranks' | 'small';
export interface Recipe { id: RecipeId; config: RunConfig }

const quick = { ...defaultRun.training, ...PRESETS.quick };
const base: RunConfig = { ...defaultRun, training: quick };

const ALL: readonly Recipe[] = [
  { id: 'voice', config: base },
  { id: 'format', config: { ...base, data: { kind: 'builtin', id: 'wordnet-json' } } },
  { id: 'ranks', config: { ...base, method: { slug: 'sora', fields: {} } } },
  { id: 'small', config: { ...base, method: { slug: 'lora', fields: { rank: 1 } }, targets: '\\.(q_proj|v_proj)$' } },
];

export function recipes({ models, data, methods }: Pick<EngineSlice, 'models' | 'data' | 'methods'>): Recipe[] {
  const has = (list: readonly { id: string }[], source: { kind: string; id?: string }) => list.some((entry) => entry.id === source.id);
  return ALL.filter(({ config }) => has(models, config.model as { kind: string; id: string }) && has(data, config.data as { kind: string; id: string }) && methods.some((method) => method.slug === config.method.slug)).map(({ id, config }) => {
    const prompt = data.find((entry) => config.data.kind === 'builtin' && entry.id === config.data.id)?.prompt;
    return { id, config: prompt === undefined ? config : { ...config, sample: { ...config.sample, prompt } } };
  });
}
