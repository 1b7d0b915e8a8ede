// Loss on given batches: padding, masks, and means over batches of unlike size.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Device } from '../engine/gpu/device';
import { noAdapters } from '../engine/nn/site';
import { testDevice } from '../engine/testing/device';
import { logitsOf } from '../methods/testing/logits';
import { tokens } from '../methods/testing/random';
import { GPT2, LLAMA, loadTiny } from '../methods/testing/tiny';
import { Evaluator, type TokenBatch } from './evaluate';
import { type LoadedModel, freeWeights } from './loaded';

const VOCAB = 64;
const WIDTH = 12;
const LENGTHS = [7, 12, 2];
const rows = LENGTHS.map((n, i) => tokens(n, VOCAB, `row ${i}`));

let device: Device;
const models = new Map<string, LoadedModel>();
beforeAll(async () => {
  device = await testDevice();
  models.set('Llama', await loadTiny(device, LLAMA));
  models.set('GPT-2', await loadTiny(device, GPT2));
});
afterAll(() => { for (const model of models.values()) freeWeights(device, model); });

async function lossOf(model: LoadedModel, batch: TokenBatch, count: number, width: number, mask = false): Promise<{ loss: number; tokens: number }> {
  const evaluator = await Evaluator.create(device, model, noAdapters, [count, width], { mask });
  const result = await evaluator.one(batch);
  evaluator.dispose();
  return result;
}

/** The rows by themselves: their mean over all predicted tokens. */
async function unpadded(model: LoadedModel): Promise<{ loss: number; tokens: number }> {
  let [sum, count] = [0, 0];
  for (const row of rows) {
    const { loss, tokens: n } = await lossOf(model, { input_ids: row, labels: Int32Array.from(row) }, 1, row.length);
    expect(n).toBe(row.length - 1);
    sum += loss * n;
    count += n;
  }
  return { loss: sum / count, tokens: count };
}

/** All rows in one batch of WIDTH, with another token for padding; the first token of a row is never predicted. */
function padded(side: 'left' | 'right'): TokenBatch {
  const [input_ids, labels, attention_mask] = [new Uint32Array(rows.length * WIDTH).fill(9), new Int32Array(rows.length * WIDTH).fill(-100), new Uint32Array(rows.length * WIDTH)];
  rows.forEach((row, r) => {
    const from = r * WIDTH + (side === 'left' ? WIDTH - row.length : 0);
    input_ids.set(row, from);
    attention_mask.fill(1, from, from + row.length);
    row.forEach((id, i) => { if (i > 0) labels[from + i] = id; });
  });
  return { input_ids, labels, attention_mask };
}

test.each(['Llama', 'GPT-2'])('%s: rows padded on the right have the loss they have by themselves', async (name) => {
  const model = models.get(name)!;
  const [want, got] = [await unpadded(model), await lossOf(model, padded('right'), rows.length, WIDTH, true)];
  expect(got.tokens).toBe(want.tokens);
  // Means of 18 losses in f32, each out of logits that are the same but for the order of a few sums.
  expect(Math.abs(got.loss / want.loss - 1)).toBeLessThan(2e-6);
  // Causal attention alone hides what stands to the right.
  const { loss } = await lossOf(model, { ...padded('right'), attention_mask: undefined }, rows.length, WIDTH);
  expect(Math.abs(loss / want.loss - 1)).toBeLessThan(2e-6);
});

test('on the left only the mask hides the padding; rotary positions are relative, so a row may stand anywhere', async () => {
  const model = models.get('Llama')!;
  const want = await unpadded(model);
  const masked = await lossOf(model, padded('left'), rows.length, WIDTH, true);
  // Turned by other angles, the same products are rounded otherwise: an ε of each of the terms of a score.
  expect(Math.abs(masked.loss / want.loss - 1)).toBeLessThan(1e-5);
  const seen = await lossOf(model, { ...padded('left'), attention_mask: undefined }, rows.length, WIDTH, true);
  expect(Math.abs(seen.loss / want.loss - 1)).toBeGreaterThan(1e-3);
});

test('the mean over batches weighs them by their labelled tokens', async () => {
  const model = models.get('Llama')!;
  const evaluator = await Evaluator.create(device, model, noAdapters, [1, WIDTH]);
  const cut = (from: number): TokenBatch => {
    const input_ids = tokens(WIDTH, VOCAB, `mean ${from}`);
    return { input_ids, labels: Int32Array.from(input_ids, (id, i) => (i < from ? -100 : id)) };
  };
  const batches = [cut(1), cut(11), cut(WIDTH)];
  const parts = [];
  for (const batch of batches) parts.push(await evaluator.one(batch));
  expect(parts.map((part) => part.tokens)).toEqual([11, 1, 0]);
  // Nothing to predict is a loss of zero over no tokens, not a division by zero.
  expect(parts[2]!.loss).toBe(0);
  const mean = await evaluator.mean(batches);
  expect(mean.tokens).toBe(12);
  expect(mean.loss).toBeCloseTo((11 * parts[0]!.loss + parts[1]!.loss) / 12, 12);
  expect(await evaluator.mean([])).toMatchObject({ loss: 0, tokens: 0, metrics: {} });
  evaluator.dispose();
});

test('the loss is the cross-entropy of its own logits, shifted by one, in nats', async () => {
  const model = models.get('Llama')!;
  const row = rows[1]!;
  const batch = { input_ids: row, labels: Int32Array.from(row, (id, i) => (i % 3 === 0 ? -100 : id)) };
  const [logits, got] = [await logitsOf(device, model, noAdapters, batch, [1, row.length]), await lossOf(model, batch, 1, row.length)];
  let [sum, count] = [0, 0];
  for (let t = 0; t + 1 < row.length; t++) {
    const label = batch.labels[t + 1]!;
    if (label < 0) continue;
    const at = [...logits.subarray(t * VOCAB, (t + 1) * VOCAB)];
    sum += Math.log(at.reduce((total, x) => total + Math.exp(x), 0)) - at[label]!;
    count++;
  }
  expect(got.tokens).toBe(count);
  // exp and log of WGSL are good to a few ulp, of a number about 5.
  expect(Math.abs(got.loss - sum / count)).toBeLessThan(1e-5);
});
