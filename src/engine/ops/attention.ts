// Rotary position embedding, and softmax attention without a [time, time] tensor (after Dao et al. 2022).
import attentionSource from '../../../shaders/attention/attention.wgsl?raw';
import backwardKvSource from '../../../shaders/attention/attention_backward_kv.wgsl?raw';
import backwardQSource from '../../../shaders/attention/attention_backward_q.wgsl?raw';
import statsSource from '../../../shaders/attention/attention_stats.wgsl?raw';
import flashSource from '../../../shaders/attention/flash.wgsl?raw';
import flashKvSource from '../../../shaders/attention/flash_backward_kv.wgsl?raw';
import flashQSource from '../../../shaders/attention/flash_backward_q.wgsl?raw';
import cacheSource from '../../../shaders/attention/cache_write.wgsl?raw';
import sumHeadsSource from '../../../shaders/attention/sum_heads.wgsl?raw';
import ropeSource from '../../../shaders/attention/rope.wgsl?raw';
import { ShapeError } from '../../util/errors';
import { type ParamValues, ceilDiv, grid1d, kernel } from '../gpu/kernel';
import { type Family, single } from '../tensor/family';
import type { Trial } from '../tensor/gate';
import { dispatch, node, output } from '../tensor/graph';
import { type Tensor, constant, describe, elements, wantShape } from '../tensor/tensor';
import { elementwise } from './elementwise';

const ropeKernel = elementwise('attention/rope', ropeSource, 'pairs');
const sumHeadsKernel = elementwise('attention/sum_heads', sumHeadsSource);
const cacheKernel = elementwise('attention/cache_write', cacheSource);

/**
 * One family a head size, since registers want a constant. Software adapters, where lanes are few and barriers dear, get one
 * invocation a row in small workgroups; unrolled, heads of 64 run no faster there, and lavapipe compiles each kernel for 10 to 35
 * seconds instead of one. A GPU gets tiles in workgroup memory, where they fit.
 */
function rowsKernel(name: string, source: string, flash: { name: string; source: string; rows: 'BQ' | 'QB'; words: (d: number, rows: number) => number; tile: (rows: number) => number; over: 'time' | 'keys' }): (d: number) => Family {
  const bySize = new Map<number, Family>();
  return (d) => {
    let family = bySize.get(d);
    if (!family) {
      const constants = { D4: d / 4 };
      const rows = (WG: number, ROLLED: number) => kernel(name, source, (p) => grid1d(ceilDiv(p.rows as number, WG)), { overrides: { WG, ROLLED }, constants });
      const [software, plain] = [rows(8, Number(d >= 64)), rows(64, 0)];
      // Tall tiles hide the wait for the next one; heads too large for them take low ones.
      const tall = 4 * flash.words(d, 32) <= COMMON_WORKGROUP_BYTES ? 32 : 16;
      const tiled = kernel(flash.name, flash.source, (p) => grid1d(((p.rows as number) / (p[flash.over] as number)) * ceilDiv(p[flash.over] as number, flash.tile(tall))), { constants: { ...constants, [flash.rows]: tall } });
      const fits = ({ workgroupBytes }: { workgroupBytes: number }) => 4 * flash.words(d, tall) <= workgroupBytes;
      // A single query, as in writing text, has no tile to fill.
      const trial = ({ causal, use_mask, kv_heads, heads }: ParamValues): Trial => {
        const [batch, time] = [2, 37];
        const group = (heads as number) / (kv_heads as number);
        const [h, kv] = [2 * group, 2];
        const rows = batch * h * time;
        const [wide, narrow] = [batch * time * h * d, batch * time * kv * d];
        const number = (elements: number) => ({ elements, fill: 'normal' as const });
        return {
          params: { rows, time, keys: time, heads: h, kv_heads: kv, causal: causal as number, use_mask: use_mask as number, d4: d / 4, scale: 0.25 / Math.sqrt(d) },
          bindings: {
            q: number(wide), k: number(narrow), v: number(narrow), dy: number(wide), stats: number(2 * batch * h * time), positions: { elements: time, fill: (i) => i },
            mask: { elements: batch * time, fill: (i) => Number(i % 5 !== 3) }, y: number(wide), lse: number(batch * h * time), dq: number(wide), dk: number(wide), dv: number(wide),
          },
          tolerance: 1e-5,
        };
      };
      family = { name, reflection: plain.reflection, plain: () => plain, trial, candidates: (profile, p) => [profile.software ? software : fits(profile) && (p.time as number) > 1 ? tiled : plain] };
      bySize.set(d, family);
    }
    return family;
  };
}
/** What nearly every GPU has. */
const COMMON_WORKGROUP_BYTES = 32768;
const forwardKernel = rowsKernel('attention/attention', attentionSource, { name: 'attention/flash', source: flashSource, rows: 'BQ', words: (d, r) => (r + 32) * (d + 4) + r * (33 + 16), tile: (r) => r, over: 'time' });
const backwardQKernel = rowsKernel('attention/attention_backward_q', backwardQSource, { name: 'attention/flash_backward_q', source: flashQSource, rows: 'BQ', words: (d, r) => (2 * r + 32) * (d + 4) + r * 17, tile: (r) => r, over: 'time' });
const backwardKvKernel = rowsKernel('attention/attention_backward_kv', backwardKvSource, { name: 'attention/flash_backward_kv', source: flashKvSource, rows: 'QB', words: (d, r) => (2 * r + 32) * (d + 4) + 2 * 16 * (r + 1), tile: () => 16, over: 'keys' });
const statsKernels = new Map<number, Family>();
function statsKernel(d: number): Family {
  const found = statsKernels.get(d) ?? single(kernel('attention/attention_stats', statsSource, (p) => grid1d(ceilDiv(p.rows as number, 64)), { constants: { D4: d / 4 } }));
  statsKernels.set(d, found);
  return found;
}

/** Positions 0 … time − 1. */
export const positionsUpTo = (time: number): Tensor => constant(`positions ${time}`, [time], 'u32', () => Uint32Array.from({ length: time }, (_, i) => i));

interface Tables { cosines: Tensor; sines: Tensor }

/** θ_j = base^(−2j/d), the angle by which pair j of a head of size d turns from one position to the next. */
export const ropeFrequencies = (base: number, d: number): number[] => Array.from({ length: d / 2 }, (_, j) => base ** ((-2 * j) / d));

/** `tablesOf` the plain frequencies. */
export const ropeTables = (base: number, d: number, context: number): Tables => tablesOf(ropeFrequencies(base, d), context);

/** Cosine and sine of t·θ_j as tables [context, number of θ], computed in double precision. */
export function tablesOf(frequencies: readonly number[], context: number): Tables {
  const n = frequencies.length;
  const table = (name: string, of: (x: number) => number) =>
    constant(`rope ${name} ${frequencies.join()} ${context}`, [context, n], 'f32', () => Float32Array.from({ length: context * n }, (_, i) => of(Math.floor(i / n) * (frequencies[i % n] as number))));
  return { cosines: table('cos', Math.cos), sines: table('sin', Math.sin) };
}

/** Turns q, and k where there is one, in one kernel. */
function turn(q: Tensor, k: Tensor | undefined, tables: Tables, positions: Tensor, d: number, sign: number): { q: Tensor; k: Tensor } {
  for (const x of k ? [q, k] : [q]) {
    const [, time, width] = x.shape;
    if (x.shape.length !== 3 || time === undefined || width === undefined || width % d !== 0) throw new ShapeError(`rope: x must be [batch, time, heads·${d}], got ${describe(x)}`);
    wantShape('rope: positions', positions, [time]);
  }
  const heads = (x: Tensor) => (x.shape[2] as number) / d;
  const [yq, yk] = [output('rope', q.shape), output('rope.k', k ? k.shape : [1])];
  const [qPairs, kPairs] = [elements(q) / 2, k ? elements(k) / 2 : 0];
  dispatch(ropeKernel, { q, k: k ?? q, ...tables, positions, yq, yk }, { pairs: qPairs + kPairs, q_pairs: qPairs, time: q.shape[1] as number, heads: heads(q), kv_heads: heads(k ?? q), half_d: d / 2, sign }, 6 * (qPairs + kPairs));
  return { q: yq, k: yk };
}

/** x [batch, time, heads·d] turned by its positions u32 [time] (Su et al. 2021), half-split order. */
export function rope(x: Tensor, tables: Tables, positions: Tensor, d: number, sign = 1): Tensor {
  const y = turn(x, undefined, tables, positions, d, sign).q;
  node('rope', { x }, [y], ([dy]) => ({ x: dy && rope(dy, tables, positions, d, -sign) }));
  return y;
}

/** `rope` of queries and keys in one kernel. */
export function ropeBoth(q: Tensor, k: Tensor, tables: Tables, positions: Tensor, d: number, sign = 1): { q: Tensor; k: Tensor } {
  const y = turn(q, k, tables, positions, d, sign);
  node('rope', { q, k }, [y.q, y.k], ([dq, dk]) => {
    if (dq && dk) return ropeBoth(dq, dk, tables, positions, d, -sign);
    return { q: dq && rope(dq, tables, positions, d, -sign), k: dk && rope(dk, tables, positions, d, -sign) };
  });
  return y;
}

export interface AttentionOptions {
  heads: number;
  kvHeads: number;
  causal: boolean;
  /** u32 [batch, keys]; 0 hides a key. */
  mask?: Tensor | undefined;
  /** u32 [time]: where each query stands among the keys; default 0 … time − 1. Given, the result cannot be differentiated. */
  positions?: Tensor | undefined;
}

/** softmax(q kᵀ / √d) v. q [batch, time, heads·d]; k, v [batch, keys, kvHeads·d]; the result is shaped as q. */
export function attention(q: Tensor, k: Tensor, v: Tensor, { heads, kvHeads, causal, mask, positions }: AttentionOptions): Tensor {
  const [batch, time, width] = q.shape as [number, number, number];
  const keys = k.shape[1] as number;
  const d = width / heads;
  if (d % 4 !== 0 || heads % kvHeads !== 0) throw new ShapeError(`attention: head size ${d} must be a multiple of 4 and ${heads} heads a multiple of ${kvHeads} kv heads`);
  wantShape('attention: k', k, [batch, keys, kvHeads * d]);
  wantShape('attention: v', v, k.shape);
  if (mask) wantShape('attention: mask', mask, [batch, keys]);
  const rows = batch * heads * time;
  const params = { time, keys, heads, kv_heads: kvHeads, causal: Number(causal), use_mask: Number(mask !== undefined), d4: d / 4, scale: 1 / Math.sqrt(d) };
  const where = positions ?? positionsUpTo(time);
  const hidden = mask ?? where;
  const [y, lse] = [output('attention', q.shape), output('attention.lse', [batch, heads, time])];
  const flops = (4 * rows * keys * d) / (causal && keys === time ? 2 : 1);
  dispatch(forwardKernel(d), { q, k, v, positions: where, mask: hidden, y, lse }, { rows, ...params }, flops);
  node('attention', { q, k, v }, [y], positions ? null : ([dy], needs) => {
    if (!dy) return {};
    const stats = output('attention.stats', [batch, heads, time, 2]);
    dispatch(statsKernel(d), { y, dy, lse, stats }, { rows, time, heads }, 2 * elements(q));
    let dq: Tensor | undefined;
    let dk: Tensor | undefined;
    let dv: Tensor | undefined;
    if (needs('q')) {
      dq = output('attention.dq', q.shape);
      dispatch(backwardQKernel(d), { q, k, v, mask: hidden, stats, dy, dq }, { rows, ...params }, 1.5 * flops);
    }
    if (needs('k') || needs('v')) {
      // One head a workgroup fills a device better than one key head; those that share it are added up behind.
      const [perHead, wide] = [heads === kvHeads, [batch, keys, heads * d]];
      [dk, dv] = [output('attention.dk', k.shape), output('attention.dv', v.shape)];
      const [xk, xv] = perHead ? [dk, dv] : [output('attention.dk by head', wide), output('attention.dv by head', wide)];
      dispatch(backwardKvKernel(d), { q, k, v, mask: hidden, stats, dy, dk: xk, dv: xv }, { rows: batch * heads * keys, ...params }, 2 * flops);
      if (!perHead) dispatch(sumHeadsKernel, { xk, xv, yk: dk, yv: dv }, { size: elements(k), group_size: heads / kvHeads, d }, 2 * elements(q));
    }
    node('attention_backward', { q, k, v, dy }, [dq, dk, dv].filter((t) => t !== undefined), null);
    return { q: dq, k: dk, v: dv };
  });
  return y;
}

/** Writes x [batch, time, c] into the lasting `cache` [batch, capacity, c] at `positions`. */
export function writeCache(cache: Tensor, x: Tensor, positions: Tensor): void {
  const [, time, columns] = x.shape as [number, number, number];
  wantShape('cache_write: cache', cache, [x.shape[0] as number, cache.shape[1] as number, columns]);
  dispatch(cacheKernel, { x, positions, cache }, { size: elements(x), time, capacity: cache.shape[1] as number, columns });
}
