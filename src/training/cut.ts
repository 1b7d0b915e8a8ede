// Cutting an adapter after training: which of its components stay. The page's sliders, the explorer and `lowrank convert` share
// these rules. A module's components stand largest first, so that a cut is one number a module: how many of them stay.

/** svd: singular directions of ΔW · trained: the ranks as they were trained, by the size of their gate. */
export type Basis = 'svd' | 'trained';

/** What is kept of an adapter. W + strength · Σ of each module's first `keep` components. */
export interface Cut {
  readonly basis: Basis;
  /** By module, in the order of the card. */
  readonly keep: readonly number[];
  readonly strength: number;
}

/** Components that are there: values above zero, of a list that falls. */
export const present = (values: ArrayLike<number>): number => {
  let count = 0;
  while (count < values.length && (values[count] as number) > 0) count++;
  return count;
};

/** At most `rank` components. */
export const keepRank = (sigma: ArrayLike<number>, rank: number): number => Math.min(rank, present(sigma));

/** The fewest components with at least this share of Σσ². */
export function keepEnergy(sigma: ArrayLike<number>, share: number): number {
  const total = energy(sigma);
  if (total === 0 || share <= 0) return 0;
  let sum = 0;
  for (let k = 0; k < sigma.length; k++) {
    sum += (sigma[k] as number) ** 2;
    // A share of 1 means all of it, whatever the order of summation did to the last bit.
    if (sum >= share * total && share < 1) return k + 1;
  }
  return present(sigma);
}

/** The `total` largest values of all modules. */
export function keepLargest(modules: readonly ArrayLike<number>[], total: number): number[] {
  const all = modules.flatMap((values, module) => Array.from({ length: present(values) }, (_, i) => ({ module, value: values[i] as number })));
  return taken(modules.length, all.sort((a, b) => b.value - a.value || a.module - b.module).slice(0, total));
}

/**
 * Components within a budget of parameters: those with the most worth a parameter, worth = weightₘ · σ². A component of a module
 * costs out + in. What no longer fits is passed over.
 */
export function allocate(modules: readonly { sigma: ArrayLike<number>; cost: number; weight?: number }[], budget: number): number[] {
  const all = modules.flatMap(({ sigma, cost, weight = 1 }, module) =>
    Array.from({ length: present(sigma) }, (_, i) => ({ module, cost, worth: (weight * (sigma[i] as number) ** 2) / cost })));
  all.sort((a, b) => b.worth - a.worth || a.module - b.module);
  const full = new Set<number>();
  let left = budget;
  return taken(modules.length, all.filter(({ module, cost, worth }) => {
    // A module's components are taken in order: once one does not fit, none after it may.
    if (worth <= 0 || full.has(module)) return false;
    if (cost > left) {
      full.add(module);
      return false;
    }
    left -= cost;
    return true;
  }));
}

function taken(modules: number, components: readonly { module: number }[]): number[] {
  const keep = new Array<number>(modules).fill(0);
  for (const { module } of components) keep[module] = (keep[module] as number) + 1;
  return keep;
}

/** Σσ² */
export const energy = (sigma: ArrayLike<number>): number => sum(sigma, (s) => s * s);

export interface EffectiveRank {
  /** exp of the entropy of σ / Σσ (Roy and Vetterli 2007). */
  entropy: number;
  /** Σσ² / σ₁² (Rudelson and Vershynin 2007). */
  stable: number;
  /** (Σσ²)² / Σσ⁴. */
  participation: number;
  /** Fewest components with this share of Σσ². */
  energy90: number;
  energy95: number;
  energy99: number;
}

/** All 0 where there is nothing. */
export function effectiveRank(sigma: ArrayLike<number>): EffectiveRank {
  const squares = energy(sigma);
  if (squares === 0) return { entropy: 0, stable: 0, participation: 0, energy90: 0, energy95: 0, energy99: 0 };
  const length = sum(sigma, (s) => s);
  return {
    entropy: Math.exp(-sum(sigma, (s) => (s > 0 ? (s / length) * Math.log(s / length) : 0))),
    stable: squares / (sigma[0] as number) ** 2,
    participation: squares ** 2 / sum(sigma, (s) => s ** 4),
    energy90: keepEnergy(sigma, 0.9),
    energy95: keepEnergy(sigma, 0.95),
    energy99: keepEnergy(sigma, 0.99),
  };
}

function sum(values: ArrayLike<number>, term: (x: number) => number): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += term(values[i] as number);
  return total;
}
