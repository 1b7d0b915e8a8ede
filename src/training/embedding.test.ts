// Pairs of texts: an encoder learns which second text belongs to a first one, says how well, and leaves an adapter of the bare model.
import { afterEach, beforeAll, expect, test } from 'vitest';
import type { Device } from '../engine/gpu/device';
import { testDevice } from '../engine/testing/device';
import { readPeft } from '../formats/peft';
import { bytesSource } from '../formats/safetensors';
import { share } from '../methods/testing/logits';
import { tokens } from '../methods/testing/random';
import { plain, trained } from '../methods/testing/runs';
import { BERT, folderOf, loadFolder, loadTiny } from '../methods/testing/tiny';
import { EMBEDDING, type Task } from '../models/model';
import { type Attachment, attachFiles, detach } from './attach';
import { Evaluator, type TokenBatch } from './evaluate';
import { mergedWeights } from './export';
import { type LoadedModel, freeWeights } from './loaded';
import { spearman } from './metrics';

const [SIZE, TIME] = [8, 10] as const;

/** Eight pairs, each of a word of the first texts and one of the second ones among words that say nothing; second texts are shorter. */
function batch(name: string, scores?: Float32Array): TokenBatch {
  const input_ids = tokens(2 * SIZE * TIME, 24, name).map((id) => 40 + id);
  const length = (row: number) => (row < SIZE ? TIME : TIME - 3);
  for (let row = 0; row < 2 * SIZE; row++) input_ids.set(row < SIZE ? [row, row] : [8 + row, 8 + row], row * TIME + 1);
  return {
    input_ids, labels: Int32Array.from({ length: SIZE }, (_, i) => i), ...(scores ? { scores } : {}),
    attention_mask: Uint32Array.from(input_ids, (_, i) => Number(i % TIME < length(Math.floor(i / TIME)))),
  };
}

let device: Device;
let loaded: LoadedModel;
beforeAll(async () => { device = await testDevice(); });
afterEach(() => { if (loaded) freeWeights(device, loaded); });

const logits = async (model: LoadedModel, { adapters, heads }: Pick<Attachment, 'adapters' | 'heads'>, one = batch('held 0')) => {
  const evaluator = await Evaluator.create(device, model, adapters, [SIZE, TIME], { heads });
  const values = await evaluator.logitsOf(one);
  evaluator.dispose();
  return values;
};

test('learns, and its adapter is one of BertModel: read back and merged it gives the same cosines', async () => {
  loaded = await loadTiny(device, BERT, 1, EMBEDDING);
  // The scores of the held-out pairs fall as their numbers rise; the last pair does not belong together.
  const held = () => [{ ...batch('held 0', Float32Array.from({ length: SIZE }, (_, i) => 8 - i)), labels: Int32Array.from([0, 1, 2, 3, 4, 5, 6, -100]) }];
  await trained({ device, loaded, fields: { rank: 4 }, data: { batch: (step) => batch(`train ${step}`), validation: held }, training: { ...plain, steps: 120, batch: SIZE, seq: TIME, lr: 4e-3 } }, async ({ run, events }) => {
    const evals = events.flatMap((event) => (event.kind === 'eval' ? [event] : []));
    const [first, last] = [evals[0]!, evals.at(-1)!];
    expect(Object.keys(last.metrics)).toEqual(['recall_1', 'recall_5', 'spearman']);
    expect(last.loss).toBeLessThan(0.5 * first.loss);
    expect(first.metrics.recall_1).toBeLessThan(0.7);
    expect(last.metrics.recall_1).toBeGreaterThan(0.8);
    const look = events.flatMap((event) => (event.kind === 'insights' ? [event] : [])).at(-1)!;
    expect(look.rows).toHaveLength(7);
    expect(Math.abs(look.rows.reduce((sum, { loss }) => sum + loss, 0) / 7 - last.loss)).toBeLessThan(1e-5);

    const live = await logits(loaded, run.attachment);
    // The pair that does not belong together stands among none.
    for (const { row, cosine, rank } of look.rows) {
      const among = [0, 1, 2, 3, 4, 5, 6].map((j) => live[row * SIZE + j] as number);
      expect(cosine).toBeCloseTo((among[row] as number) / EMBEDDING.scale, 5);
      expect(rank).toBe(1 + among.filter((x) => x > (among[row] as number)).length);
    }
    expect(look.rows.filter(({ rank }) => rank === 1).length / 7).toBeCloseTo(last.metrics.recall_1 as number, 12);
    const cosines = Array.from({ length: SIZE }, (_, i) => live[i * SIZE + i] as number);
    expect(last.metrics.spearman).toBeCloseTo(spearman(cosines, [8, 7, 6, 5, 4, 3, 2, 1]) as number, 6);

    const { folder, receipt } = await run.exportPeft('tiny');
    expect(receipt.maxLogitDifference).toBeLessThan(1e-4);
    expect(receipt.effect).toBeGreaterThan(0.1);
    const files = new Map(folder.files.map(({ name, bytes }) => [name, bytesSource(name, bytes)]));
    const adapter = await readPeft(files);
    expect(adapter.config).toMatchObject({ task_type: 'FEATURE_EXTRACTION', modules_to_save: null });
    expect(adapter.modules.map(({ name }) => name).filter((name) => !name.startsWith('encoder.layer.'))).toEqual([]);
    const read = attachFiles(device, loaded.network, [adapter]);
    expect(share(await logits(loaded, read), live)).toBeLessThan(1e-5);
    detach(device, read);

    const merged = await loadFolder(device, folderOf({ ...BERT, architectures: ['BertModel'] }, await mergedWeights(device, loaded, run.attachment.adapters, 'F32')), EMBEDDING);
    expect(share(await logits(merged, { adapters: new Map(), heads: new Map() }), live)).toBeLessThan(1e-5);
    freeWeights(device, merged);
  });
});

test('a batch that is not full is as a smaller one: what is not there is no wrong answer', async () => {
  const both: Task = { ...EMBEDDING, symmetric: true };
  loaded = await loadTiny(device, BERT, 1, both);
  const whole = batch('held 0');
  const rows = (values: Uint32Array, size: number) => Uint32Array.from({ length: 2 * size * TIME }, (_, i) => values[(Math.floor(i / (size * TIME)) * SIZE + (Math.floor(i / TIME) % size)) * TIME + (i % TIME)] as number);
  const five = { input_ids: rows(whole.input_ids, 5), attention_mask: rows(whole.attention_mask as Uint32Array, 5), labels: whole.labels.slice(0, 5) };
  const mask = (whole.attention_mask as Uint32Array).map((bit, i) => (Math.floor(i / TIME) % SIZE < 5 ? bit : 0));
  const lossOf = async (one: TokenBatch, size: number) => {
    const evaluator = await Evaluator.create(device, loaded, new Map(), [size, TIME]);
    const { loss, tokens: count, metrics } = await evaluator.mean([one]);
    evaluator.dispose();
    return { loss, count, metrics };
  };
  const [small, padded] = [await lossOf(five, 5), await lossOf({ ...whole, attention_mask: mask, labels: whole.labels.map((label) => (label < 5 ? label : -100)) }, SIZE)];
  expect(padded.count).toBe(5);
  expect(padded.loss).toBeCloseTo(small.loss, 5);
  expect(padded.metrics).toEqual(small.metrics);
  expect(Math.abs((await lossOf(whole, SIZE)).loss - small.loss)).toBeGreaterThan(0.01);
});

test('Spearman: ranks, equal numbers at their mean rank, and nothing to say of a constant', () => {
  expect(spearman([0.1, 0.5, 0.9], [1, 2, 30])).toBeCloseTo(1, 12);
  expect(spearman([0.1, 0.5, 0.9], [3, 2, 1])).toBeCloseTo(-1, 12);
  // Ranks 1, 2.5, 2.5, 4 against 1, 3, 2, 4: covariance 4.5, variances 4.5 and 5.
  expect(spearman([0, 2, 2, 7], [10, 30, 20, 40])).toBeCloseTo(4.5 / Math.sqrt(4.5 * 5), 12);
  expect(spearman([1, 2], [5, 5])).toBeUndefined();
  expect(spearman([], [])).toBeUndefined();
});
