// Tables for kernels that walk over the factors of all layers in one dispatch: which layer a place belongs to, and what is known of it.
// Words: first the number of the entry + 1 (0 = none) for every place, then the entries, all of one width (shaders/common/entry.wgsl).
import { ceilDiv, grid1d, kernel } from '../gpu/kernel';
import type { Family } from '../tensor/family';
import { ARENA_BLOCK } from '../tensor/memory';
import type { Tensor } from '../tensor/tensor';

/** Arenas, flat. */
export interface Flat {
  /** Every trained tensor is a slice of it; and the loss's gradients, laid out alike. */
  readonly params: Tensor;
  readonly gradients: Tensor;
  /** What is made of parameters at the head of a step, and the loss's gradients with respect to it. */
  readonly joint: Tensor;
  readonly jointGradients: Tensor;
  /** What of the adapter does not train, as words: tables of whole numbers, too. */
  readonly frozen: Tensor;
  /** A table of words on the device, by a name of its own. */
  table(name: string, words: () => Uint32Array): Tensor;
}

export interface Entry {
  /** First place, and how many there are. */
  readonly at: number;
  readonly size: number;
  readonly words: readonly number[];
}

/** A place is a block of 64 elements of an arena of `length` elements, in which every tensor begins at such a block. */
export const byBlocks = (length: number, entries: readonly Entry[]): Uint32Array => tableOf(length / ARENA_BLOCK, entries.map(({ at, size, words }) => ({ at: at / ARENA_BLOCK, size: Math.ceil(size / ARENA_BLOCK), words })));

/** A place is an entry's own unit of work: those of the first entry, then those of the second, and so on. */
export function byUnits(entries: readonly Omit<Entry, 'at'>[]): { places: number; words: Uint32Array } {
  let at = 0;
  const placed = entries.map((entry) => {
    const first = at;
    at += entry.size;
    return { ...entry, at: first, words: [first, ...entry.words] };
  });
  return { places: at, words: tableOf(at, placed) };
}

function tableOf(places: number, entries: readonly Entry[]): Uint32Array {
  const width = entries[0]?.words.length ?? 0;
  const table = new Uint32Array(places + width * entries.length);
  entries.forEach(({ at, size, words }, i) => {
    table.fill(i + 1, at, at + size);
    table.set(words, places + width * i);
  });
  return table;
}

/** What stands in an entry for a factor that is not there. */
export const NOWHERE = 0xffffffff;

/** A kernel whose unit is 64 invocations, four units a workgroup. Results may be parts of an arena, so it is never run a second time for memory. */
export function unitFamily(name: string, source: string): Family {
  const only = kernel(name, source, (p) => grid1d(ceilDiv(p.units as number, 4)));
  return { name, reflection: only.reflection, cheap: false, candidates: () => [only] };
}
/** Invocations of such a unit. */
export const UNIT = 64;
