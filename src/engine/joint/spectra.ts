// The left factors U (relu(M) − diag(σ)) of SALT of all layers at once, M = diag(α σ + β) ⊕ (diag(σ) + X Y); the gradients of α, β, X and
// Y through them; and the penalty on how far M is from where it starts.
import backSource from '../../../shaders/joint/spectra_back.wgsl?raw';
import leftSource from '../../../shaders/joint/spectra_left.wgsl?raw';
import middleBackSource from '../../../shaders/joint/spectra_middle_back.wgsl?raw';
import middleSource from '../../../shaders/joint/spectra.wgsl?raw';
import { columnDot, reshape, scale } from '../ops';
import { elementwise } from '../ops/elementwise';
import { dispatch, output } from '../tensor/graph';
import { type Tensor, elements } from '../tensor/tensor';
import { lengthsOf } from './lengths';
import { type Flat, byBlocks, byUnits } from './table';

const middleKernel = elementwise('joint/spectra', middleSource, 'units');
const leftKernel = elementwise('joint/spectra_left', leftSource, 'n');
const middleBackKernel = elementwise('joint/spectra_middle_back', middleBackSource, 'units');
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
function middles({ params: p, frozen, table }: Flat, layers: readonly Spectrum[], width: number): { middle: Tensor; units: number; byMiddle: Tensor } {
  const { places: units, words } = byUnits(wordsOf(layers, (layer) => ({ size: unitsOf(layer) })));
  const byMiddle = table('spectra', () => words);
  const middle = output('spectra', [units]);
  dispatch(middleKernel, { table: byMiddle, p, frozen, middle }, { units, width }, 2 * units * width);
  return { middle, units, byMiddle };
}

function paramsBack({ params: p, gradients: g, frozen, table }: Flat, layers: readonly Spectrum[], width: number, d: Tensor, penalty?: { lengths: Tensor; weight: number }): void {
  const { places: units, words } = byUnits(wordsOf(layers, ({ r, q }) => ({ size: r + 2 * q * width })));
  const flops = 4 * width * layers.reduce((sum, { q }) => sum + q * q, 0);
  dispatch(backKernel, { table: table('spectra parameters', () => words), p, frozen, d, lengths: penalty?.lengths ?? d, g }, { units, width, by_length: Number(penalty !== undefined), weight: penalty?.weight ?? 0 }, flops);
}

/** Makes the left factor of every layer. The way back writes the gradients of α, β, X and Y. */
export function makeLeft(flat: Flat, layers: readonly Spectrum[], { width, keepSigns }: SpectraOptions): { back: () => void } {
  const { joint, jointGradients: dy, frozen, table } = flat;
  const { middle, units, byMiddle } = middles(flat, layers, width);
  const n = elements(joint);
  const blocks = () => byBlocks(n, wordsOf(layers, ({ rows, r, q }) => ({ size: rows * (r + q) })).map(({ size, words }, i) => {
    const at = (layers[i] as Spectrum).left;
    return { at, size, words: [at, ...words] };
  }));
  const flops = 2 * layers.reduce((sum, { rows, q }) => sum + rows * q * q, 0);
  dispatch(leftKernel, { table: table('spectra left', blocks), frozen, middle, joint }, { n, keep_signs: Number(keepSigns) }, flops);
  const back = () => {
    const dmiddle = output('spectra gradients', [units]);
    const starts = table('spectra starts', () => Uint32Array.from(layers, ({ left }) => left));
    dispatch(middleBackKernel, { table: byMiddle, starts, frozen, middle, dy, dmiddle }, { units, keep_signs: Number(keepSigns) }, flops);
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
