// The left factors U (relu(M) − diag(σ)) of SALT of all layers at once, M = diag(α σ + β) ⊕ (diag(σ) + X Y); the gradients of α, β, X and
// Y through them; and the penalty on how far M is from where it starts.
import backSource from '../../../shaders/joint/spectra_back.wgsl?raw';
import leftSource from '../../../shaders/joint/spectra_left.wgsl?raw';
import middleBackSource from '../../../shaders/joint/spectra_middle_back.wgsl?raw';
import middleSource from '../../../shaders/joint/spectra.wgsl?raw';
import { columnDot, reshape, scale } from '../ops';
import { ceilDiv } from '../gpu/kernel';
import { elementwise } from '../ops/elementwise';
import { dispatch, output } from '../tensor/graph';
import { type Tensor, elements } from '../tensor/tensor';
import { lengthsOf } from './lengths';
import { type Flat, UNIT, byUnits, unitFamily } from './table';

const middleKernel = elementwise('joint/spectra', middleSource, 'units');
const leftKernel = unitFamily('joint/spectra_left', leftSource);
const middleBackKernel = unitFamily('joint/spectra_middle_back', middleBackSource);
const backKernel = elementwise('joint/spectra_back', backSource, 'units');

/** One layer: r singular values are scaled and shifted, q form the block; 0 where there are none. */
export interface Spectrum {
  readonly rows: number;
  readonly r: number;
  readonly q: number;
  /** Where α, β [r], X [q, width] and Y [width, q] begin in `params`. */
  readonly alpha: number;
  readonly beta: number;
  readonly X: number;
  readonly Y: number;
  /** Where σ [r] and [q], and U [rows, r] and [rows, q], begin in `frozen`. */
  readonly Stop: number;
  readonly Srest: number;
  readonly Utop: number;
  readonly Urest: number;
  /** Where the left factor [rows, r + q] begins in `joint`. */
  readonly left: number;
}

export interface SpectraOptions {
  readonly width: number;
  /** Entries of the block beside the diagonal may be negative. */
  readonly keepSigns: boolean;
}

const unitsOf = ({ r, q }: Spectrum) => r + q * q;
function wordsOf(layers: readonly Spectrum[], of: (layer: Spectrum) => { size: number; first?: number }) {
  let middle = 0;
  return layers.map((layer, i) => {
    const { size } = of(layer);
    const words = [layer.r, layer.q, layer.rows, layer.alpha, layer.beta, layer.X, layer.Y, layer.Stop, layer.Srest, layer.Utop, layer.Urest, middle, i];
    middle += unitsOf(layer);
    return { size, words };
  });
}

/** The numbers of M before the rectifier less where they start, of all layers: [Σ r + q²]. */
function middles({ params: p, frozen, table }: Flat, layers: readonly Spectrum[], width: number): { middle: Tensor; units: number } {
  const { places: units, words } = byUnits(wordsOf(layers, (layer) => ({ size: unitsOf(layer) })));
  const middle = output('spectra', [units]);
  dispatch(middleKernel, { table: table('spectra', () => words), p, frozen, middle }, { units, width }, 2 * units * width);
  return { middle, units };
}

function paramsBack({ params: p, gradients: g, frozen, table }: Flat, layers: readonly Spectrum[], width: number, d: Tensor, penalty?: { lengths: Tensor; weight: number }): void {
  const { places: units, words } = byUnits(wordsOf(layers, ({ r, q }) => ({ size: r + 2 * q * width })));
  const flops = 4 * width * layers.reduce((sum, { q }) => sum + q * q, 0);
  dispatch(backKernel, { table: table('spectra parameters', () => words), p, frozen, d, lengths: penalty?.lengths ?? d, g }, { units, width, by_length: Number(penalty !== undefined), weight: penalty?.weight ?? 0 }, flops);
}

/** Makes the left factor of every layer. The way back writes the gradients of α, β, X and Y. */
export function makeLeft(flat: Flat, layers: readonly Spectrum[], { width, keepSigns }: SpectraOptions): { back: () => void } {
  const { joint, jointGradients: dy, frozen, table } = flat;
  const { middle, units } = middles(flat, layers, width);
  const starts = table('spectra starts', () => Uint32Array.from(layers, ({ left }) => left));
  // Each invocation has four rows.
  const fours = (rows: number) => ceilDiv(rows, 4);
  const left = byUnits(wordsOf(layers, ({ rows, r, q }) => ({ size: ceilDiv(fours(rows) * (r + q), UNIT) })));
  const flops = 2 * layers.reduce((sum, { rows, q }) => sum + rows * q * q, 0);
  dispatch(leftKernel, { table: table('spectra left', () => left.words), starts, frozen, middle, joint }, { units: left.places, keep_signs: Number(keepSigns) }, flops);
  const back = () => {
    const dmiddle = output('spectra gradients', [units]);
    const backwards = byUnits(wordsOf(layers, ({ r, q }) => ({ size: ceilDiv(r + fours(q) * q, UNIT) })));
    dispatch(middleBackKernel, { table: table('spectra back', () => backwards.words), starts, frozen, middle, dy, dmiddle }, { units: backwards.places, keep_signs: Number(keepSigns) }, flops);
    paramsBack(flat, layers, width, dmiddle);
  };
  return { back };
}

/** weight · Σ over layers of ‖α σ + β − σ‖ + ‖X Y‖ as [1], and its gradient, to be added to those of the loss. */
export function spectralDistance(flat: Flat, layers: readonly Spectrum[], width: number, weight: number): { value: Tensor; back: () => void } {
  const { middle } = middles(flat, layers, width);
  const lengths = lengthsOf(flat, 'spectra spans', middle, layers.flatMap(({ r, q }) => [r, q * q]));
  const value = scale(columnDot(reshape(lengths, [elements(lengths), 1])), weight);
  return { value, back: () => paramsBack(flat, layers, width, middle, { lengths, weight }) };
}
