// Numbers against golden tensors, of which the large ones are kept as sums with random signs (scripts/slim-goldens.mjs).
import { sketch } from '../../../e2e/support/sketch.mjs';
import type { SafetensorsFile } from '../../formats/safetensors';

/** What is kept of a tensor, and how numbers of one's own are seen beside it. */
export interface Kept { readonly want: Float32Array; readonly seen: (x: Float32Array) => Float32Array }

export const whole = (want: Float32Array): Kept => ({ want, seen: (x) => x });

export async function kept(file: SafetensorsFile, name: string): Promise<Kept> {
  const sums = `sketch.${name}`;
  return file.byName.has(sums) ? { want: await file.f32(sums), seen: sketch } : whole(await file.f32(name));
}

/** Names of a file's tensors, however they are kept. */
export const namesIn = (file: SafetensorsFile): string[] => [...file.byName.keys()].map((name) => name.replace(/^sketch\./, ''));

/** Largest difference, of numbers or of their sums, as a share of the largest number that came out. */
export function offBy(got: Float32Array, { want, seen }: Kept): number {
  const own = seen(got);
  if (own.length !== want.length) throw new Error(`${own.length} numbers, wanted ${want.length}`);
  const largest = (x: Float32Array) => x.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return largest(own.map((value, i) => value - (want[i] as number))) / largest(got);
}
