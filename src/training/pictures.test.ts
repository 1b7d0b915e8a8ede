// Runs on pictures: classes with a head that is made, classes by texts, and captions; resumed bit for bit, exported with the head.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { FileDataset } from '../data/dataset';
import { type PictureTask, arrangePictures, encodeTexts, preparePictures } from '../data/pictures/dataset';
import { preprocessOf } from '../data/pictures/preprocess';
import { asFolder, halves, png } from '../data/pictures/testing/pictures';
import { loadTokenizer } from '../data/tokenizer';
import type { Device } from '../engine/gpu/device';
import { noAdapters } from '../engine/nn/site';
import { testDevice } from '../engine/testing/device';
import { readPeft } from '../formats/peft';
import { bytesSource } from '../formats/safetensors';
import { type TestData, createRun, plain, sameBytes, trained } from '../methods/testing/runs';
import { CLIP, VIT, loadTiny } from '../methods/testing/tiny';
import type { Task } from '../models/model';
import { Evaluator } from './evaluate';
import { type LoadedModel, freeWeights } from './loaded';
import { recallsOf } from './metrics';

const model = (id: string, file: string): unknown => JSON.parse(readFileSync(fileURLToPath(new URL(`../../public/models/${id}/${file}`, import.meta.url)), 'utf8'));
const tokenizer = loadTokenizer(model('pair-8m', 'tokenizer.json'), model('pair-8m', 'tokenizer_config.json'), null);
const how = preprocessOf(null, { channels: 3, size: 8 });
const texts = { tokenizer, time: 12, end: 3 } as const;
const options = { batch: 8, seed: 7, holdout: 0.25 };
const asTest = (data: FileDataset): TestData => ({ batch: data.batch, validation: data.validation, hash: data.summary.hash });

/** Eight kinds by where the light is, each with a caption. */
const WORDS = ['cat', 'dog', 'house', 'tree', 'fish', 'boat', 'bread', 'star'];
const captioned = () => {
  const files = Array.from({ length: 64 }, (_, i) => ({ name: `${i}.png`, bytes: png(8, (x, y) => ((x >> 2) + 2 * (y >> 2) === i % 4 ? 220 : i % 8 < 4 ? 20 : 110) + ((x + y * 3 + i) % 16)) }));
  const sheet = `file,caption\n${files.map(({ name }, i) => `${name},a ${WORDS[i % 8]}`).join('\n')}\n`;
  return asFolder('pairs', [...files, { name: 'captions.csv', bytes: new Uint8Array(new TextEncoder().encode(sheet)) }]);
};

let device: Device;
let loaded: LoadedModel;
beforeAll(async () => { device = await testDevice(); });
afterEach(() => { if (loaded) freeWeights(device, loaded); });

async function set(kind: 'vit' | 'text' | 'caption') {
  const labels = ['above', 'below'];
  const task: Task & PictureTask = kind === 'vit' ? { kind: 'image-classification', labels } : kind === 'text' ? { kind: 'image-text', labels, template: 'a photo of light {}' } : { kind: 'image-caption' };
  loaded = await loadTiny(device, kind === 'vit' ? VIT : CLIP, 1, task);
  const prepared = await preparePictures(kind === 'caption' ? captioned() : asFolder('halves', halves(20)), kind === 'caption' ? 'caption' : 'label', how);
  return arrangePictures(prepared, null, task, kind === 'vit' ? null : texts, options);
}

describe.each(['vit', 'text', 'caption'] as const)('%s', (kind) => {
  test('learns, tells of held-out pictures, and resumes in mid-run bit for bit', async () => {
    const data = await set(kind);
    const setup = { device, loaded, slug: 'lora', fields: { rank: 4 }, data: asTest(data), training: { ...plain, steps: kind === 'caption' ? 60 : 20, batch: 8, lr: 1e-2, seed: 5 } };
    const whole = await trained(setup, async ({ checkpoint, events, run }) => {
      const evals = events.flatMap((event) => (event.kind === 'eval' ? [event] : []));
      const [first, last] = [evals[0]!, evals.at(-1)!];
      expect(last.loss).toBeLessThan(0.7 * first.loss);
      if (kind === 'caption') {
        expect(last.metrics.text_recall_1).toBeGreaterThan(0.5);
        expect(Object.keys(last.metrics)).toEqual(['text_recall_1', 'text_recall_5', 'picture_recall_1', 'picture_recall_5']);
      } else expect(last.metrics.accuracy).toBeGreaterThan(0.9);
      const looks = events.flatMap((event) => (event.kind === 'insights' ? [event] : []));
      expect(looks.map(({ step, rows }) => [step, rows.length])).toEqual([[0, kind === 'caption' ? 16 : 10], [setup.training.steps, kind === 'caption' ? 16 : 10]]);
      const mean = looks[1]!.rows.reduce((sum, { loss }) => sum + loss, 0) / looks[1]!.rows.length;
      expect(Math.abs(mean / last.loss - 1)).toBeLessThan(1e-4);
      const { folder, receipt } = await run.exportPeft('tiny');
      expect(receipt.maxLogitDifference).toBe(0);
      expect(receipt.effect).toBeGreaterThan(0.1);
      const { saved } = await readPeft(new Map(folder.files.map(({ name, bytes }) => [name, bytesSource(name, bytes)])));
      expect(saved.map(({ name }) => name).sort()).toEqual(kind === 'vit' ? ['classifier.bias', 'classifier.weight'] : []);
      return checkpoint;
    });
    const { run } = await createRun({ ...setup, training: { ...setup.training, saveEvery: 7 }, save: (_, step, running) => { if (step === 7) running.stop(); } });
    await run.train();
    const middle = await run.checkpoint();
    expect(run.step).toBe(7);
    run.dispose();
    expect(await trained({ ...setup, resume: middle }, ({ checkpoint }) => sameBytes(checkpoint, whole))).toBe(true);
  });
});

test('the loss of captions is the mean of both directions, and recall counts over all held-out rows', async () => {
  const data = await set('caption');
  const evaluator = await Evaluator.create(device, loaded, noAdapters, [8, 12]);
  const [batch] = data.validation() as [ReturnType<FileDataset['batch']>];
  const logits = await evaluator.logitsOf(batch);
  const at = (i: number, j: number) => logits[i * 8 + j]!;
  const rows = [...Array(8).keys()];
  const direction = (of: (i: number, j: number) => number) => rows.reduce((sum, i) => sum + Math.log(rows.reduce((all, j) => all + Math.exp(of(i, j)), 0)) - of(i, i), 0) / 8;
  const want = (direction(at) + direction((i, j) => at(j, i))) / 2;
  const { loss } = await evaluator.mean([batch]);
  expect(Math.abs(loss - want)).toBeLessThan(1e-5);
  evaluator.dispose();
});

test('recall: what is told apart, what is not, and texts that say the same', () => {
  const unit = (angle: number) => Float32Array.of(Math.cos(angle), Math.sin(angle));
  const angles = [0, 0.5, 1, 1.5, 2, 2.5, 3];
  const right = recallsOf({ first: angles.map(unit), second: angles.map(unit) });
  expect(right).toMatchObject({ text_recall_1: 1, text_recall_5: 1, picture_recall_1: 1, picture_recall_5: 1 });
  const turned = recallsOf({ first: angles.map(unit), second: angles.map((a) => unit(a + 0.5)) });
  // Every picture but the first is nearer to the text before; the first has only its own text near it.
  expect(turned.text_recall_1).toBeCloseTo(1 / 7);
  expect(turned.text_recall_5).toBe(1);
  expect(recallsOf({ first: [unit(0), unit(1)], second: [unit(0.4), unit(0.4)] }).text_recall_1).toBe(1);
});

test('texts are framed, cut and padded, and read at their end', () => {
  const { ids, ends } = encodeTexts(['a photo of a cat', 'one two three four five six seven eight nine ten eleven twelve'], texts);
  expect(ids.length).toBe(24);
  const words = tokenizer.encode('a photo of a cat', { addSpecial: false });
  expect([...ids.subarray(0, 12)]).toEqual([2, ...words, 3, ...new Array(10 - words.length).fill(0)]);
  // The end of a text that is too long stands in the last place.
  expect([ids[12], ids[23]]).toEqual([2, 3]);
  expect([...ends]).toEqual([1 + words.length, 23]);
});
