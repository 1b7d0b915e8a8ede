// Writing token by token over the cache, against the whole forward pass.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../engine/gpu/device';
import { type Adapters, noAdapters } from '../engine/nn/site';
import type { Step } from '../engine/tensor/step';
import type { Tensor } from '../engine/tensor/tensor';
import { testDevice } from '../engine/testing/device';
import { letters } from '../methods/testing/letters';
import { logitsOf, share } from '../methods/testing/logits';
import { normals, tokens } from '../methods/testing/random';
import { createRun, startOf } from '../methods/testing/runs';
import { GPT2, LLAMA, loadTiny } from '../methods/testing/tiny';
import { ConfigError } from '../util/errors';
import { Generator } from './generate';
import { type LoadedModel, freeWeights } from './loaded';
import type { Run } from './run';

const VOCAB = 64;
const GREEDY = { maxTokens: 12, temperature: 0, seed: 0 };
const PROMPT = [...tokens(7, VOCAB, 'prompt')];

let device: Device;
let loaded: LoadedModel;
let run: Run;
let adapters: Adapters;
beforeAll(async () => {
  device = await testDevice();
  loaded = await loadTiny(device);
  const at = { device, loaded, slug: 'lora' };
  ({ run } = await createRun({ ...at, resume: await startOf(at, (name, was) => normals(was.length, name, 0.1)) }));
  ({ adapters } = run.attachment);
});
afterAll(() => {
  run.dispose();
  freeWeights(device, loaded);
});

async function write(prompt: readonly number[], options: Partial<Parameters<Generator['generate']>[1]> = {}, on = loaded, capacity = 32): Promise<number[]> {
  const generator = await Generator.create(device, on, adapters, capacity);
  const ids = await generator.generate(prompt, { ...GREEDY, ...options });
  generator.dispose();
  return ids;
}

/** Logits after each of `ids`, from the generator's own step. */
async function cachedLogits(on: LoadedModel, attached: Adapters, ids: Uint32Array): Promise<Float32Array[]> {
  const generator = await Generator.create(device, on, attached, ids.length);
  const { step, id, position, logits } = generator as unknown as { step: Step; id: Tensor; position: Tensor; logits: Tensor };
  const rows: Float32Array[] = [];
  for (const [at, token] of ids.entries()) {
    step.run(new Map([[id, Uint32Array.of(token)], [position, Uint32Array.of(at)]]));
    rows.push(await step.read(logits));
  }
  generator.dispose();
  return rows;
}

test.each([{ name: 'Llama', config: LLAMA, adapted: false }, { name: 'Llama with an adapter', config: LLAMA, adapted: true }, { name: 'GPT-2', config: GPT2, adapted: false }])('$name: logits over the cache are those of the whole pass, at every position', async ({ config, adapted }) => {
  const model = adapted ? loaded : await loadTiny(device, config);
  const ids = tokens(32, VOCAB, 'row');
  const attached = adapted ? adapters : noAdapters;
  const whole = await logitsOf(device, model, attached, { input_ids: ids, labels: new Int32Array(32) }, [1, 32]);
  const rows = await cachedLogits(model, attached, ids);
  // The same f32 sums, at most in another order: some hundred terms an element, two blocks deep.
  rows.forEach((row, at) => expect(share(row, whole.subarray(at * VOCAB, (at + 1) * VOCAB)), `position ${at}`).toBeLessThan(1e-5));
  if (!adapted) freeWeights(device, model);
});

describe('greedy', () => {
  test('takes the likeliest token of the whole pass, step by step, and always the same', async () => {
    const got = await write(PROMPT);
    expect(got).toHaveLength(12);
    const row = [...PROMPT, ...got];
    const logits = await logitsOf(device, loaded, adapters, { input_ids: Uint32Array.from(row), labels: new Int32Array(row.length) }, [1, row.length]);
    got.forEach((id, i) => {
      const at = logits.subarray((PROMPT.length + i - 1) * VOCAB, (PROMPT.length + i) * VOCAB);
      expect(id).toBe(at.reduce((best, x, j) => (x > at[best]! ? j : best), 0));
    });
    expect(await write(PROMPT, { seed: 99 })).toEqual(got);
  });

  test('a generator used before writes as a fresh one: nothing of the last text is left', async () => {
    const generator = await Generator.create(device, loaded, adapters, 32);
    const long = await generator.generate(PROMPT, { ...GREEDY, maxTokens: 20 });
    const short = PROMPT.slice(3, 5);
    expect(await generator.generate(short, GREEDY)).toEqual(await write(short));
    expect(await generator.generate(PROMPT, { ...GREEDY, maxTokens: 20 })).toEqual(long);
    generator.dispose();
  });
});

describe('drawing', () => {
  test('the same seed draws the same, another seed something else; more likely tokens come more often', async () => {
    const draw = (seed: number, more = {}) => write(PROMPT, { temperature: 1, seed, ...more });
    const first = await draw(1);
    expect(await draw(1)).toEqual(first);
    expect(await draw(2)).not.toEqual(first);
    // A nucleus of almost nothing is the likeliest token, and so is a temperature near zero.
    expect(await draw(1, { topP: 1e-6 })).toEqual(await write(PROMPT));
    expect(await draw(1, { temperature: 1e-4 })).toEqual(await write(PROMPT));
  });

  test('first tokens follow the distribution that the logits give, and stay within the nucleus', async () => {
    const generator = await Generator.create(device, loaded, adapters, 32);
    const prompt = PROMPT.slice(0, 2);
    const [logits] = (await cachedLogits(loaded, adapters, Uint32Array.from(prompt))).slice(-1);
    const weights = [...logits!].map((x) => Math.exp(x - Math.max(...logits!)));
    const total = weights.reduce((a, b) => a + b, 0);
    const order = [...weights.keys()].sort((a, b) => weights[b]! - weights[a]!);
    const top = order[0]!;
    const draws: number[] = [];
    for (let seed = 0; seed < 100; seed++) draws.push(...(await generator.generate(prompt, { maxTokens: 1, temperature: 1, seed })));
    const p = weights[top]! / total;
    // Binomial over 100 draws: five standard deviations.
    expect(Math.abs(draws.filter((id) => id === top).length - 100 * p)).toBeLessThan(5 * Math.sqrt(100 * p * (1 - p)));
    let sum = 0;
    const nucleus = new Set(order.slice(0, order.findIndex((id) => (sum += weights[id]! / total) >= 0.5) + 1));
    for (let seed = 0; seed < 30; seed++) expect(nucleus).toContain((await generator.generate(prompt, { maxTokens: 1, temperature: 1, topP: 0.5, seed }))[0]);
    generator.dispose();
  });
});

describe('ending', () => {
  test('before the end-of-text token, which is not written', async () => {
    const free = await write(PROMPT);
    const eos = free[3]!;
    const want = free.slice(0, free.indexOf(eos));
    expect(await write(PROMPT, {}, { ...loaded, tokenizer: letters(eos) })).toEqual(want);
  });

  test('after maxTokens, and where the reader says so', async () => {
    expect(await write(PROMPT, { maxTokens: 0 })).toEqual([]);
    expect(await write(PROMPT, { maxTokens: 5 })).toHaveLength(5);
    const shown: string[] = [];
    const got = await write(PROMPT, { onText: (text) => { shown.push(text); return shown.length < 3; } }, { ...loaded, tokenizer: letters() });
    expect(got).toHaveLength(3);
    expect(shown.join('')).toBe(letters().decode(got));
  });

  test('where the model’s context is full, whatever was asked for', async () => {
    const prompt = [...tokens(30, VOCAB, 'long')];
    expect(await write(prompt, { maxTokens: 50 }, loaded, 1000)).toHaveLength(2);
  });
});

test.each([
  [[], /prompt is empty/], [[...tokens(32, VOCAB, 'full')], /prompt has 32 tokens, there is room for 31/], [[...tokens(40, VOCAB, 'over')], /prompt has 40 tokens/],
])('a prompt that cannot be continued is refused: %#', async (prompt, words) => {
  const refused = write(prompt, {}, loaded, 1000);
  await expect(refused).rejects.toThrow(ConfigError);
  await expect(refused).rejects.toThrow(words);
});
