// AdamW, clipping, guard, ring and counts by themselves, against the published update in double precision.
import { beforeAll, describe, expect, test } from 'vitest';
import { normals } from '../../methods/testing/random';
import type { Device } from '../gpu/device';
import { Graph } from '../tensor/graph';
import { free, readF32, upload, write } from '../tensor/memory';
import { compile } from '../tensor/step';
import { type Tensor, tensor } from '../tensor/tensor';
import { testDevice } from '../testing/device';
import { type AdamSettings, AdamW, type GroupSettings } from './adamw';
import { countNonzero } from './count-nonzero';
import { MetricRing, RING_COLUMNS } from './ring';
import { softThreshold } from './soft-threshold';

let device: Device;
beforeAll(async () => { device = await testDevice(); });

/** Sizes on both sides of an arena block of 64, and one of many workgroups. */
const SIZES = [1, 63, 64, 65, 1000];
const GROUPS = ['default', 'gate', 'default', 'gate', 'default'];
const groups: Record<string, GroupSettings> = { default: { lrScale: 1, weightDecay: 0.1 }, gate: { lrScale: 3, weightDecay: 0 } };
const adam: AdamSettings = { beta1: 0.9, beta2: 0.999, eps: 1e-8, clip: 0.5 };

/** An optimiser over tensors of those sizes, whose gradients a test writes itself. */
class Bench {
  readonly tensors: Tensor[];
  readonly adamw: AdamW;
  readonly loss = tensor('loss', [1], 'input');
  readonly gradients: Tensor[];
  private run: ((step: number, lr: number) => void) | null = null;

  constructor(options: AdamSettings, readonly after: (bench: Bench) => void = () => {}) {
    this.tensors = SIZES.map((size, i) => tensor(`p${i}`, [size], 'param'));
    this.gradients = SIZES.map((size, i) => tensor(`g${i}`, [size], 'param'));
    this.adamw = new AdamW(this.tensors.map((t, i) => ({ tensor: t, group: GROUPS[i]! })), options);
  }

  async open(start: (i: number) => Float32Array): Promise<this> {
    this.adamw.allocate(device, groups);
    for (const [t, { buffer, offset, size }] of this.adamw.places(device, this.gradients)) device.slices.set(t.id, { buffer, offset, size });
    this.tensors.forEach((t, i) => write(device, t, start(i)));
    const graph = new Graph();
    graph.record(() => {
      this.adamw.guard(this.loss);
      this.adamw.update();
      this.after(this);
    });
    const step = await compile(device, graph);
    this.run = (at, lr) => step.run(null, { step: at, lr, ...this.adamw.bias(at) });
    return this;
  }

  step(at: number, lr: number, gradients: readonly Float32Array[], loss = 1): void {
    gradients.forEach((g, i) => write(device, this.gradients[i]!, g));
    write(device, this.loss, Float32Array.of(loss));
    this.run?.(at, lr);
  }

  values = () => Promise.all(this.tensors.map((t) => readF32(device, t)));
  state = async () => [await readF32(device, this.adamw.params), await readF32(device, this.adamw.m), await readF32(device, this.adamw.v)];

  close(): void {
    for (const g of this.gradients) device.slices.delete(g.id);
    this.adamw.dispose(device);
    free(device, this.loss);
  }
}

const starts = (i: number) => normals(SIZES[i]!, `start ${i}`);
const gradientsOf = (step: number, scale = 1) => SIZES.map((size, i) => normals(size, `gradient ${i} at ${step}`, scale));
const normOf = (gradients: readonly Float32Array[]) => Math.sqrt(gradients.reduce((sum, g) => sum + g.reduce((s, x) => s + x * x, 0), 0));

describe('AdamW', () => {
  test.each([{ clip: 0.5 }, { clip: 0 }, { clip: 1e6 }])('ten steps of two groups are the published update (clip $clip)', async ({ clip }) => {
    const bench = await new Bench({ ...adam, clip }).open(starts);
    const [p, m, v] = [SIZES.map((_, i) => Float64Array.from(starts(i))), SIZES.map((n) => new Float64Array(n)), SIZES.map((n) => new Float64Array(n))];
    for (let t = 1; t <= 10; t++) {
      const [lr, gradients] = [0.01 * t, gradientsOf(t)];
      bench.step(t, lr, gradients);
      const norm = normOf(gradients);
      // torch.nn.utils.clip_grad_norm_: max_norm / (norm + 1e-6), never above 1.
      const factor = clip === 0 ? 1 : Math.min(1, clip / (norm + 1e-6));
      const control = await readF32(device, bench.adamw.control);
      // A sum of 1,193 squares in f32: its bound is some 1e-4, its usual error a thousandth of that.
      expect(control[0]! / norm).toBeCloseTo(1, 5);
      expect(control[1]! / factor).toBeCloseTo(1, 5);
      gradients.forEach((g, i) => {
        const { lrScale, weightDecay } = groups[GROUPS[i]!]!;
        g.forEach((raw, j) => {
          const gradient = factor * raw;
          m[i]![j] = 0.9 * m[i]![j]! + 0.1 * gradient;
          v[i]![j] = 0.999 * v[i]![j]! + 0.001 * gradient * gradient;
          const rate = lr * lrScale;
          p[i]![j] = p[i]![j]! * (1 - rate * weightDecay) - (rate * (m[i]![j]! / (1 - 0.9 ** t))) / (Math.sqrt(v[i]![j]! / (1 - 0.999 ** t)) + 1e-8);
        });
      });
    }
    const got = await bench.values();
    // Ten steps of up to 0.3, each with some twenty roundings of f32: 10 · 0.3 · 20 · 6e-8 is 4e-6; 1 − 0.999 in f32 adds 3e-5 of v, half of it in √v.
    got.forEach((values, i) => values.forEach((x, j) => expect(Math.abs(x - p[i]![j]!), `${i} ${j}`).toBeLessThan(5e-5)));
    // The gaps between tensors never move.
    const [flat] = await bench.state();
    expect([...flat!].filter((x) => x !== 0)).toHaveLength(got.reduce((sum, values) => sum + values.filter((x) => x !== 0).length, 0));
    bench.close();
  });

  test.each([
    ['the loss is NaN', Number.NaN, 1], ['the loss is infinite', Number.POSITIVE_INFINITY, 1], ['the loss is −∞', Number.NEGATIVE_INFINITY, 1],
    ['a gradient is NaN', 1, Number.NaN], ['a gradient is infinite', 1, Number.NEGATIVE_INFINITY], ['the squares of the gradients overflow', 1, 1e30],
  ])('where %s nothing moves, then or ever after', async (_, loss, scale) => {
    const xi = upload(device, tensor('xi', [1], 'input'), Float32Array.of(0.1));
    const bench = await new Bench(adam, ({ adamw }) => softThreshold(adamw.params, adamw.blocks, adamw.control, xi, adamw.groups.indexOf('gate'), false)).open(starts);
    bench.step(1, 0.1, gradientsOf(1));
    const before = await bench.state();
    bench.step(2, 0.1, gradientsOf(2, scale), loss);
    expect(await bench.state()).toEqual(before);
    expect([...(await readF32(device, bench.adamw.control))].slice(2)).toEqual([0, 1]);
    // A good step after it does not wake the run up: what follows a bad step is not the run that was asked for.
    bench.step(3, 0.1, gradientsOf(3));
    expect(await bench.state()).toEqual(before);
    free(device, xi);
    bench.close();
  });
});

describe('beside the update', () => {
  test('the threshold and the count touch one group, over all of the arena', async () => {
    const xi = upload(device, tensor('xi', [1], 'input'), Float32Array.of(0.5));
    const bench = new Bench({ ...adam, clip: 0 }, ({ adamw }) => softThreshold(adamw.params, adamw.blocks, adamw.control, xi, adamw.groups.indexOf('gate'), false));
    await bench.open(starts);
    bench.step(1, 0, gradientsOf(1));
    const got = await bench.values();
    got.forEach((values, i) => {
      const start = starts(i);
      values.forEach((x, j) => {
        const g = start[j]!;
        if (GROUPS[i] === 'default') expect(x).toBe(g);
        else expect(Math.abs(x)).toBe(Math.max(0, Math.fround(Math.abs(g) - 0.5)));
        if (x !== 0) expect(Math.sign(x)).toBe(Math.sign(g));
      });
    });
    const graph = new Graph();
    const kept = graph.record(() => ['gate', 'default'].map((group) => countNonzero(bench.adamw.params, bench.adamw.blocks, bench.adamw.groups.indexOf(group))));
    const step = await compile(device, graph, { keep: kept });
    step.run();
    for (const [which, group] of ['gate', 'default'].entries()) {
      const want = got.flatMap((values, i) => (GROUPS[i] === group ? [...values] : [])).filter((x) => x !== 0).length;
      expect((await step.read(kept[which]!))[0], group).toBe(want);
    }
    step.dispose();
    free(device, xi);
    bench.close();
  });

  test('the ring keeps the last steps, each in its row, however often it goes round', async () => {
    const LENGTH = 5;
    const ring = new MetricRing(LENGTH);
    ring.allocate(device);
    const [a, b] = [tensor('a', [3], 'input'), tensor('b', [1], 'input')];
    const graph = new Graph();
    graph.record(() => {
      ring.record('second', a, 1);
      ring.record('only', b);
    });
    const step = await compile(device, graph);
    const rows: Float32Array[] = [];
    for (let t = 1; t <= 23; t++) {
      let copied: (() => Promise<Float32Array>) | undefined;
      step.run(new Map([[a, Float32Array.of(-1, t, -1)], [b, Float32Array.of(100 * t)]]), { step: t }, (encoder) => { if (t % 4 === 0) copied = ring.copy(device, encoder); });
      if (copied) rows.push(await copied());
    }
    expect(ring.series).toEqual(['second', 'only']);
    rows.forEach((ringNow, i) => {
      const last = 4 * (i + 1);
      for (let t = Math.max(1, last - LENGTH + 1); t <= last; t++) {
        const row = ((t - 1) % LENGTH) * RING_COLUMNS;
        expect([ringNow[row], ringNow[row + 1]], `step ${t} seen at ${last}`).toEqual([t, 100 * t]);
      }
    });
    expect(() => { for (let i = 0; i < RING_COLUMNS; i++) graph.record(() => ring.record(`more ${i}`, b)); }).toThrow(/no room for 'more 6'/);
    step.dispose();
    ring.dispose(device);
    for (const t of [a, b]) free(device, t);
  });
});
