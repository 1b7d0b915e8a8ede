// A fair comparison as a list of runs: every arm with every learning rate and every seed, all else equal; and the rank at which a
// method trains as many parameters as another. Sizes come from plans, so no formula stands here a second time.
import type { MethodCard, Plan, RunConfig } from './contract';

/** One method of a comparison, at the size that was found for it. */
export interface Arm {
  slug: string;
  fields: RunConfig['method']['fields'];
  trainable: number;
  plan: Plan;
  /** Trainable parameters over those wanted, minus one; null where the method has no rank to choose. */
  off: number | null;
}

export interface SweepPlan { name: string; base: RunConfig; arms: readonly Arm[]; rates: readonly number[]; seeds: readonly number[] }

/** Seed by seed, so that what has been trained when one stops early can already be compared. */
export function sweepRuns({ base, arms, rates, seeds }: SweepPlan): { arm: Arm; config: RunConfig }[] {
  return seeds.flatMap((seed) => rates.flatMap((lr) => arms.map((arm) => ({
    arm,
    config: { ...base, name: runName(arm, lr, seed), method: { slug: arm.slug, fields: arm.fields }, training: { ...base.training, lr, seed } },
  }))));
}

const runName = (arm: Arm, lr: number, seed: number) => [arm.slug, ...(arm.fields.rank === undefined ? [] : [`r${arm.fields.rank}`]), `lr${lr}`, `s${seed}`].join('-');

/** The rank of a method whose trainable parameters come nearest to `wanted`; each look is one plan, which allocates nothing. */
export async function armOf(card: MethodCard, base: RunConfig, wanted: number, plan: (config: RunConfig) => Promise<Plan>): Promise<Arm> {
  // The fields of the draft's own method stay as they were set; another method's start at their defaults.
  const own = base.method.slug === card.slug ? base.method.fields : {};
  const at = async (fields: RunConfig['method']['fields']): Promise<Arm> => {
    const found = await plan({ ...base, method: { slug: card.slug, fields } });
    return { slug: card.slug, fields, trainable: found.trainable, plan: found, off: found.trainable / wanted - 1 };
  };
  const field = card.fields.rank;
  if (field?.kind !== 'int') return { ...(await at(own)), off: null };
  let [low, high] = [field.min, field.max];
  let best = await at({ ...own, rank: low });
  const consider = (arm: Arm) => {
    if (Math.abs(arm.trainable - wanted) < Math.abs(best.trainable - wanted)) best = arm;
  };
  // A method may train a number that its rank does not change, or falls: then the least rank stands.
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const arm = await at({ ...own, rank: middle });
    consider(arm);
    if (arm.trainable < wanted) low = middle + 1;
    else high = middle;
  }
  consider(await at({ ...own, rank: low }));
  return best;
}
