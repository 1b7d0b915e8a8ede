// f64 forms of strips.ts, by placing one strip after another as the definition says.
import { type Expected, type Host, expected, sum } from '../testing/reference';
import type { Strips } from './strips';

/** For each place of C, the numbers of p that are added up there. */
function covers({ n, first, step }: Strips): number[][] {
  const places: number[][] = Array.from({ length: n * n }, () => []);
  let at = 0;
  for (let start = 0; start < n; ) {
    const width = start === 0 ? first : step;
    const end = start + width;
    for (let row = start; row < end; row++) for (let column = 0; column < end; column++) places[row * n + column]?.push(at++);
    for (let row = 0; row < end; row++) for (let column = start; column < end; column++) places[row * n + column]?.push(at++);
    start = end;
  }
  return places;
}

const scaleAt = ({ data }: Host, n: number, i: number): number => (data[i % n] === 0 ? 0 : (data[Math.floor(i / n)] as number));

export function coreFromStrips(strips: Host, gate: Host, form: Strips): Expected {
  const places = covers(form);
  return expected([form.n, form.n], (i) => sum((places[i] as number[]).map((at) => scaleAt(gate, form.n, i) * (strips.data[at] as number))));
}

export function stripsFromCore(core: Host, gate: Host, form: Strips): Expected {
  const back: number[] = [];
  covers(form).forEach((from, i) => { for (const at of from) back[at] = i; });
  return expected([back.length], (at) => sum([scaleAt(gate, form.n, back[at] as number) * (core.data[back[at] as number] as number)]));
}
