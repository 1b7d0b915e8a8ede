// A kernel: one WGSL file, reflected, with a grid rule. Nothing here touches a device.
import { type Reflection, expandIncludes, reflect, withConstants } from './wgsl';

export type ParamValues = Readonly<Record<string, number>>;
/** Values of `override`s and of tunable constants; part of a pipeline's identity. */
export interface Tuning {
  readonly overrides?: Readonly<Record<string, number>>;
  readonly constants?: Readonly<Record<string, number>>;
}
export type Grid = readonly [x: number, y?: number | undefined, z?: number | undefined];

export interface Kernel {
  /** Path below shaders/, without .wgsl: 'matmul/tiled'. */
  readonly name: string;
  readonly source: string;
  readonly reflection: Reflection;
  readonly tuning: Tuning;
  /** Name and tuning as one string: the pipeline cache's key. */
  readonly key: string;
  grid(params: ParamValues): Grid;
}

const includes = Object.fromEntries(
  Object.entries(import.meta.glob<string>('../../../shaders/common/*.wgsl', { query: '?raw', import: 'default', eager: true })).map(([path, text]) => [path.replace(/^.*shaders\//, ''), text]),
);

/** `kernel('matmul/tiled', source, grid)`; the same file with another tuning is another kernel. */
export function kernel(name: string, source: string, grid: (params: ParamValues) => Grid, tuning: Tuning = {}): Kernel {
  const expanded = expandIncludes(name, source, includes);
  const text = withConstants(name, expanded, tuning.constants ?? {});
  const settings = [...Object.entries(tuning.overrides ?? {}), ...Object.entries(tuning.constants ?? {})].map(([k, v]) => `${k}=${v}`);
  return { name, source: text, reflection: reflect(name, expanded), tuning, key: [name, ...settings].join(' '), grid };
}

/** Most workgroups along one axis that every device allows. */
const MAX_GRID = 65535;

/** Folds `groups` workgroups into x and y; kernels undo it with `grid_index` of common/index.wgsl. */
export function grid1d(groups: number): Grid {
  if (groups <= MAX_GRID) return [Math.max(1, groups)];
  const rows = Math.ceil(groups / MAX_GRID);
  return [Math.ceil(groups / rows), rows];
}

export const ceilDiv = (a: number, b: number) => Math.ceil(a / b);

/** Bytes of a Params block: what a uniform binding may be a multiple of on every device. */
export const PARAM_BLOCK = 256;

/** The Params struct of a kernel, four bytes a scalar, in order. */
export function paramBlock({ params: declared }: Reflection, values: ParamValues): ArrayBuffer {
  const block = new ArrayBuffer(PARAM_BLOCK);
  const views = { u32: new Uint32Array(block), i32: new Int32Array(block), f32: new Float32Array(block) };
  declared.forEach(({ name, type }, i) => { views[type][i] = values[name] as number; });
  return block;
}
