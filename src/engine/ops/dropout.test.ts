// The generator against its published vectors, and dropout: which elements it keeps, how many, and that the backward keeps the same.
import { beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../gpu/device';
import { kernel } from '../gpu/kernel';
import { single } from '../tensor/family';
import { Graph, dispatch, output } from '../tensor/graph';
import { free, upload } from '../tensor/memory';
import { type StepScalars, compile } from '../tensor/step';
import { type Tensor, tensor } from '../tensor/tensor';
import { findings, normals, testCase } from '../testing/check';
import { testDevice } from '../testing/device';
import { dropout } from './dropout';
import * as reference from './dropout.reference';

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});

/** Records, runs and reads one tensor. */
async function run(build: () => Tensor, scalars: Partial<StepScalars> = {}): Promise<Float32Array> {
  const graph = new Graph();
  const y = graph.record(build);
  const step = await compile(device, graph, { keep: [y] });
  step.run(null, scalars);
  const values = await step.read(y);
  step.dispose();
  return values;
}

const philoxKernel = single(kernel('testing/philox', `// words[0..4] = philox(counter, key), words[4] = the bits of uniform01 of the first; input [6] = counter, key.
#include "common/random.wgsl"
struct Params { unused: u32 }
@group(0) @binding(0) var<storage, read> input: array<u32>;
@group(0) @binding(1) var<storage, read_write> words: array<u32>;
@group(1) @binding(0) var<uniform> params: Params;
@compute @workgroup_size(1)
fn main() {
  let four = philox(vec4<u32>(input[0], input[1], input[2], input[3]), vec2<u32>(input[4], input[5]));
  for (var i = 0u; i < 4u; i++) { words[i] = four[i]; }
  words[4] = bitcast<u32>(uniform01(four.x));
}
`, () => [1]));

describe('philox', () => {
  // Random123, kat_vectors, philox4x32 with 10 rounds.
  it.each([
    ['zeros', [0, 0, 0, 0, 0, 0], [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]],
    ['ones', Array(6).fill(0xffffffff), [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]],
    ['digits of pi', [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0], [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]],
  ])('gives the published words of %s', async (_, from, words) => {
    const input = upload(device, tensor('counter and key', [6], 'input', 'u32'), Uint32Array.from(from));
    const got = await run(() => {
      const y = output('words', [5]);
      dispatch(philoxKernel, { input, words: y }, { unused: 0 });
      return y;
    });
    expect([...new Uint32Array(got.buffer, 0, 4)]).toEqual(words);
    expect(got[4]).toBe(Math.floor((words[0] as number) / 256) / 2 ** 24);
    free(device, input);
  });
});

describe('value and gradient of dropout', () => {
  const cases = [1, 3, 63, 65, 257, 1030].flatMap((n) => [0.1, 0.5, 0.9].map((p) => {
    const scalars = { seed: 123456789 + n, step: 7 };
    return testCase(`${n} at ${p}`, { x: normals([n]) }, ({ x }) => dropout(x, p, 5), ({ x }) => reference.dropout(x, p, 5, scalars), { scalars });
  }));
  it.each(cases.map((test) => [test.name, test] as const))('%s', async (_, test) => {
    expect(await findings(device, test)).toEqual([]);
  });

  it('leaves x alone at 0 and nothing at 1', async () => {
    const x = tensor('x', [4], 'input');
    new Graph().record(() => expect(dropout(x, 0, 1)).toBe(x));
    upload(device, x, Float32Array.of(1, -2, 3, -4));
    expect([...(await run(() => dropout(x, 1, 1)))]).toEqual([0, 0, 0, 0]);
  });
});

describe('the mask', () => {
  const n = 100_000;
  const x = tensor('ones', [n], 'input');
  const mask = async (p: number, stream: number, scalars: Partial<StepScalars>) => Uint8Array.from(await run(() => dropout(x, p, stream), scalars), (v) => Number(v !== 0));
  beforeAll(() => {
    upload(device, x, new Float32Array(n).fill(1));
  });

  /** Five standard deviations of a share of n draws: one sound run in two million fails. */
  const spread = (share: number) => 5 * Math.sqrt((share * (1 - share)) / n);
  const mean = (values: Uint8Array) => values.reduce((sum, v) => sum + v, 0) / n;
  const agree = (a: Uint8Array, b: Uint8Array) => mean(a.map((v, i) => Number(v === b[i])));

  it.each([0.05, 0.5, 0.9])('keeps a share of 1 − %f, neighbours independently', async (p) => {
    const kept = await mask(p, 1, { seed: 1, step: 1 });
    expect(Math.abs(mean(kept) - (1 - p))).toBeLessThan(spread(p));
    for (const distance of [1, 2, 4, 256]) {
      const both = (1 - p) ** 2;
      const pairs = kept.map((v, i) => v & (kept[(i + distance) % n] as number));
      // Neighbouring pairs overlap, which at most doubles the variance.
      expect(Math.abs(mean(pairs) - both)).toBeLessThan(Math.SQRT2 * spread(both));
    }
  });

  it('is a function of seed, step and stream, and of each of them', async () => {
    const base = await mask(0.5, 1, { seed: 1, step: 1 });
    expect(await mask(0.5, 1, { seed: 1, step: 1 })).toEqual(base);
    for (const other of [await mask(0.5, 1, { seed: 2, step: 1 }), await mask(0.5, 1, { seed: 1, step: 2 }), await mask(0.5, 2, { seed: 1, step: 1 })]) {
      expect(Math.abs(agree(base, other) - 0.5)).toBeLessThan(spread(0.5));
    }
  });

  it('is the same in a step that is run again with other scalars in between', async () => {
    const graph = new Graph();
    const y = graph.record(() => dropout(x, 0.5, 3));
    const step = await compile(device, graph, { keep: [y] });
    const at = async (number: number) => {
      step.run(null, { seed: 9, step: number });
      return step.read(y);
    };
    const [first, second, again] = [await at(1), await at(2), await at(1)];
    expect(again).toEqual(first);
    expect(second).not.toEqual(first);
    step.dispose();
  });

  it('keeps on beyond one fold of the grid', async () => {
    const large = upload(device, tensor('many ones', [65535 * 256 + 300], 'input'), new Float32Array(65535 * 256 + 300).fill(1));
    const y = await run(() => dropout(large, 0.5, 1), { seed: 5, step: 6 });
    const probes = [...Array(300).keys()].flatMap((i) => [y.length - 1 - i, (i * 1_000_003) % y.length, 65535 * 128 + i]);
    expect(probes.filter((i) => y[i] !== 2 * Number(reference.keeps(i, 0.5, 1, 5, 6)))).toEqual([]);
    free(device, large);
  });
});
