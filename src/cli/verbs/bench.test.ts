// The bench checks before it times, refuses what it cannot do, and its lines have the fields that are promised.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { kernel } from '../../engine/gpu/kernel';
import type { Device } from '../../engine/gpu/device';
import { testDevice } from '../../engine/testing/device';
import { SHADERS } from '../../engine/testing/shaders';
import { UsageError } from '../options';
import type { Output } from '../output';
import { bench } from './bench';
import { benchGrowth } from './bench-growth';
import { benchKernels } from './bench-kernels';
import { benchMethods } from './bench-methods';
import { benchStep } from './bench-step';

let device: Device;
beforeAll(async () => { device = await testDevice(); });
afterEach(() => vi.restoreAllMocks());

type Json = Record<string, unknown>;
function collect(): { events: Json[]; output: Output } {
  const events: Json[] = [];
  return { events, output: { event: (event) => events.push(event), note: () => {}, progress: () => {} } };
}

const kernels = { shape: 'tale-1m', batch: 1, seq: 16, rank: 4, runs: 2 };

describe('bench step --method all', () => {
  const all = { shape: 'tale-1m', batch: 1, seq: 16, runs: 2, weights: 'f32' } as const;

  it('holds a method that prepares against LoRA, with the fields that it has', async () => {
    const { events, output } = collect();
    await benchMethods(device, { ...all, rank: 4, filter: 'pissa', fields: { alpha: 4, parallelRank: 3 } }, output);
    expect(events).toMatchObject([{ event: 'method', method: 'pissa', rank: 4, alpha: 4, prepare_s: expect.any(Number) }]);
    expect(events[0]).not.toHaveProperty('parallelRank');
    expect(events[0]?.ratio).toBeCloseTo((events[0]?.ms as number) / (events[0]?.lora_ms as number), 12);
  });

  it('a field that one method lacks is refused by name', async () => {
    const step = benchStep(device, { ...all, method: 'lora', rank: 4, fields: { parallelRank: 3 }, profile: false }, collect().output);
    await expect(step).rejects.toThrow('parallelRank');
  });

  it('says what refuses these weights, and leaves nothing of it', async () => {
    const { events, output } = collect();
    const before = device.bytes;
    await benchMethods(device, { ...all, rank: 4, filter: 'loldu', weights: 'int8' }, output);
    expect(events).toEqual([{ event: 'method', method: 'loldu', refused: expect.stringContaining("works on the base's own numbers, which are kept as int8") }]);
    expect(device.bytes).toBe(before);
  });
});

describe('bench kernels', () => {
  it('times what passed its check', async () => {
    const { events, output } = collect();
    expect(await benchKernels(device, { ...kernels, filter: 'rms_norm' }, output)).toBe(0);
    expect(events[0]).toMatchObject({ event: 'limits', gbps: expect.any(Number), gflops: expect.any(Number) });
    expect(events.slice(1).map(({ name }) => name)).toEqual(['norm/rms_norm', 'norm/rms_norm_backward']);
    for (const row of events.slice(1)) {
      expect(row).toMatchObject({ event: 'kernel', variant: expect.any(String), shape: '16×128', timed: expect.any(String) });
      for (const field of ['ms', 'gflops', 'gbps', 'roofline']) expect(row[field]).toBeGreaterThan(0);
    }
  });

  it('every family is among its subjects and passes', async () => {
    const { events, output } = collect();
    expect(await benchKernels(device, { ...kernels, shape: 'tale-1m', filter: '' }, output)).toBe(0);
    const names = new Set(events.map(({ name }) => name));
    for (const name of ['matmul', 'attention/attention', 'attention/rope', 'norm/rms_norm', 'elementwise/swiglu', 'loss/cross_entropy', 'optim/adamw']) expect(names).toContain(name);
  });

  it('a planted fault is reported and not timed', async () => {
    const pipeline = device.pipeline.bind(device);
    vi.spyOn(device, 'pipeline').mockImplementation((asked) => {
      if (asked.name !== 'elementwise/swiglu_backward') return pipeline(asked);
      const faulty = (SHADERS[asked.name] as string).replace(/dg\[i\] = /, 'dg[i] = 1.01 * ');
      expect(faulty).not.toBe(SHADERS[asked.name]);
      return pipeline({ ...kernel(asked.name, faulty, asked.grid), key: `${asked.key} faulty` });
    });
    const { events, output } = collect();
    expect(await benchKernels(device, { ...kernels, filter: 'swiglu' }, output)).toBe(1);
    expect(events.slice(1)).toEqual([{ event: 'kernel', name: 'swiglu', shape: '16×344', failed: expect.arrayContaining([expect.stringContaining('gradient of g')]) }]);
  });

  it('a filter that fits nothing names what there is', async () => {
    await expect(benchKernels(device, { ...kernels, filter: 'conv' }, collect().output)).rejects.toThrow(/fits none of matmul, matmul\/f16, .*lora, attention/);
  });
});

const spec = { shape: 'tale-1m', method: 'lora', rank: 2, batch: 1, seq: 8, weights: 'f32', layers: 1 } as const;

it('bench step prints the promised fields', async () => {
  const { events, output } = collect();
  const before = device.bytes;
  await benchStep(device, { ...spec, runs: 2, profile: false }, output);
  expect(events).toHaveLength(1);
  expect(events[0]).toMatchObject({ event: 'step', shape: 'tale-1m', method: 'lora', rank: 2, batch: 1, seq: 8, dtype: 'f32' });
  for (const field of ['ms', 'ms_min', 'tokens_per_s', 'dispatches', 'peak_bytes']) expect(events[0]?.[field]).toBeGreaterThan(0);
  // Constants stay, by design; a step's buffers do not.
  expect(device.bytes - before).toBeLessThan(2 ** 20);
});

it('bench step with weights kept small runs the same step on a smaller model', async () => {
  const { events, output } = collect();
  const kinds = ['f32', 'f16', 'int8', 'int4'] as const;
  for (const weights of kinds) await benchStep(device, { ...spec, weights, runs: 1, profile: false }, output);
  const [full, halved, ...quantised] = events as [Record<string, unknown>, Record<string, unknown>];
  expect(events.map(({ dtype, gflop }) => [dtype, gflop])).toEqual(kinds.map((kind) => [kind, full.gflop]));
  expect(halved.peak_bytes as number).toBeLessThan((full.peak_bytes as number) - 2 ** 20);
  const peaks = [halved, ...quantised].map(({ peak_bytes }) => peak_bytes as number);
  // 137,216 numbers of the block's linear layers, at 16, 8.5 and 4.5 bits each; down_proj's rows of 344 are not whole groups and stay halves.
  expect([(peaks[0] as number) - (peaks[1] as number), (peaks[0] as number) - (peaks[2] as number)]).toEqual([7.5, 11.5].map((bits) => (137_216 * bits) / 8));
});

it('bench growth along one axis: more blocks, more dispatches', async () => {
  const { events, output } = collect();
  await benchGrowth(device, { ...spec, layers: 1 }, 1, 'layers', output);
  expect(events.map(({ x }) => x)).toEqual([1, 2, 4, 6, 8, 12]);
  const dispatches = events.map((event) => event.dispatches as number);
  expect([...dispatches].sort((a, b) => a - b)).toEqual(dispatches);
  for (const event of events) expect(event).toMatchObject({ event: 'growth', axis: 'layers', shape: 'tale-1m', rank: 2, ms: expect.any(Number), layers: event.x });
});

describe('refused', () => {
  it.each([
    [[], /one of kernels, step, peers, growth/],
    [['speed'], /got 'speed'/],
    [['step', '--weights', 'bf16'], /--weights bf16: weights are kept as f32, f16, int8, int4/],
    [['step', '--runs', '0'], /--runs wants a whole number/],
  ])('bench %j', async (args, message) => {
    await expect(bench(args)).rejects.toThrow(UsageError);
    await expect(bench(args)).rejects.toThrow(message);
  });
});

describe('scripts/plot-growth.mjs', () => {
  const script = fileURLToPath(new URL('../../../scripts/plot-growth.mjs', import.meta.url));
  const work = mkdtempSync(join(tmpdir(), 'growth-'));
  const plot = (lines: readonly object[], ...args: string[]) => {
    const path = join(work, 'lines.jsonl');
    writeFileSync(path, lines.map((line) => JSON.stringify(line)).join('\n'));
    return execFileSync(process.execPath, [script, path, ...args], { encoding: 'utf8', stdio: 'pipe' });
  };
  const line = (axis: string, x: number, ms: number) => ({ event: 'growth', axis, x, ms });

  it('finds the affine law, the parabola and the power law that the points were made of', () => {
    const table = plot([
      ...[64, 256, 4096].map((x) => line('tokens', x, 3 + 0.5 * x)),
      ...[1, 4, 16, 256].map((x) => line('rank', x, 2 * x ** 0.25)),
      ...[64, 128, 512, 2048].map((x) => line('seq', x, 5 + 0.1 * x + 0.002 * x * x)),
    ]);
    expect(table).toContain('| 3 + 0.5 x | 0.0 %, 0.0 % |');
    expect(table).toContain('| 2 x^0.25 | 0.0 %, 0.0 % |');
    expect(table).toContain('| 5 + 0.1 x + 0.002 x² | 0.0 %, 0.0 % |');
  });

  it('draws a panel an axis with every point', () => {
    const svg = join(work, 'growth.svg');
    plot([1, 2, 4, 8].map((x) => line('layers', x, 10 + x)), '--svg', svg, '--title', 'a < b');
    const text = readFileSync(svg, 'utf8');
    expect(text.match(/<circle/g)).toHaveLength(4);
    expect(text).toContain('a &lt; b');
    expect(text).not.toContain('NaN');
  });

  it('says what it wants', () => {
    expect(() => plot([line('rank', 1, 2)])).toThrow(/no axis with three points/);
    expect(() => plot([line('rank', 1, -2)])).toThrow(/wanted x and ms above 0/);
  });
});
