// How a config says that positions turn: the base, and scalings that stretch a model to longer texts.
import { ropeFrequencies } from '../engine/ops';
import { ConfigError } from '../util/errors';
import type { ConfigReader } from './model';

/** θ_j of every pair of a head whose first `d` numbers turn; `rope_scaling`, or `rope_parameters` as transformers 5 writes it. */
export function frequenciesOf(c: ConfigReader, d: number, thetaKey = 'rope_theta'): number[] {
  const given = c.object('rope_parameters');
  const plain = ropeFrequencies(c.number(thetaKey, given?.number('rope_theta', 10000) ?? 10000), d);
  const scaling = c.object('rope_scaling') ?? given;
  if (!scaling) return plain;
  // Early configs call the type just that.
  const key = scaling.has('rope_type') ? 'rope_type' : 'type';
  const kind = scaling.text(key, 'default');
  if (kind === 'default') return plain;
  if (kind === 'linear') return plain.map((theta) => theta / positive(scaling, 'factor'));
  if (kind === 'llama3') return plain.map((theta) => slowed(theta, scaling));
  throw new ConfigError(`config.json: rope_scaling.${key} = ${JSON.stringify(kind)} is not supported`, 'Supported: "default", "linear", "llama3".');
}

/** Llama 3.1: waves longer than the old context turn slower by `factor`, short ones as before, those between in proportion. */
function slowed(theta: number, scaling: ConfigReader): number {
  const [factor, low, high, old] = (['factor', 'low_freq_factor', 'high_freq_factor', 'original_max_position_embeddings'] as const).map((name) => positive(scaling, name)) as [number, number, number, number];
  if (low >= high) throw new ConfigError(`config.json: rope_scaling: low_freq_factor = ${low} is not below high_freq_factor = ${high}`);
  const turns = (old * theta) / (2 * Math.PI);
  const share = Math.min(1, Math.max(0, (turns - low) / (high - low)));
  return theta * (share + (1 - share) / factor);
}

function positive(scaling: ConfigReader, key: string): number {
  const value = scaling.number(key, Number.NaN);
  if (!(value > 0)) throw new ConfigError(`config.json: rope_scaling: ${key}: wanted a number above 0, got ${value}`);
  return value;
}
