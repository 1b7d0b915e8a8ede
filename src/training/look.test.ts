// Pictures tried out: the same cosines as a batch of pictures and captions has, either way round, and refusals that say what to do.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { FileDataset } from '../data/dataset';
import { arrangePictures, preparePictures } from '../data/pictures/dataset';
import { preprocessOf } from '../data/pictures/preprocess';
import { asFolder, png } from '../data/pictures/testing/pictures';
import { loadTokenizer } from '../data/tokenizer';
import type { Device } from '../engine/gpu/device';
import { noAdapters } from '../engine/nn/site';
import { testDevice } from '../engine/testing/device';
import { CLIP, VIT, loadTiny } from '../methods/testing/tiny';
import { Evaluator } from './evaluate';
import { type LoadedModel, freeWeights } from './loaded';
import { findPictures, lookAt } from './look';

const model = (file: string): unknown => JSON.parse(readFileSync(fileURLToPath(new URL(`../../public/models/pair-8m/${file}`, import.meta.url)), 'utf8'));
const tokenizer = loadTokenizer(model('tokenizer.json'), model('tokenizer_config.json'), null);
const WORDS = ['cat', 'dog', 'house', 'tree', 'fish', 'boat', 'bread', 'star'];
const files = WORDS.map((word, i) => ({ name: `${word}.png`, bytes: png(8, (x, y) => (x * (i + 1) + y * 31) % 256) }));
const pairs = () => asFolder('pairs', [...files, { name: 'captions.csv', bytes: new TextEncoder().encode(`file,caption\n${files.map(({ name }, i) => `${name},a ${WORDS[i]}`).join('\n')}\n`) }]);

let device: Device;
let loaded: LoadedModel;
let data: FileDataset;
beforeAll(async () => {
  device = await testDevice();
  loaded = { ...(await loadTiny(device, CLIP, 1, { kind: 'image-caption' })), tokenizer };
  const prepared = await preparePictures(pairs(), 'caption', preprocessOf(null, { channels: 3, size: 8 }));
  data = await arrangePictures(prepared, prepared, { kind: 'image-caption' }, { tokenizer, time: 12, end: 3 }, { batch: 8, seed: 7, holdout: 0 });
});
afterAll(() => freeWeights(device, loaded));

/** Logits [8, 8] of the held-out pictures and their captions, over e^scale: cosines. */
async function table(): Promise<{ logits: Float32Array; cosines: Float32Array }> {
  const evaluator = await Evaluator.create(device, loaded, noAdapters, [8, 12]);
  const found = await evaluator.match(data.validation()[0] as ReturnType<FileDataset['batch']>);
  evaluator.dispose();
  return found;
}
const close = (got: readonly number[], want: readonly number[]) => want.forEach((x, i) => expect(Math.abs((got[i] as number) - x)).toBeLessThan(1e-5));

test('texts for a held-out picture, and for the same as a file', async () => {
  const { logits, cosines } = await table();
  const texts = Array.from({ length: 8 }, (_, i) => data.shown?.(i).text as string);
  const byRow = await lookAt(device, loaded, null, { row: 3 }, texts, data);
  expect(byRow.labels).toEqual(texts);
  close(byRow.cosines as number[], [...cosines.subarray(24, 32)]);
  const scale = (logits[24] as number) / (cosines[24] as number);
  expect(byRow.shares.indexOf(Math.max(...byRow.shares))).toBe((byRow.cosines as number[]).indexOf(Math.max(...(byRow.cosines as number[]))));
  close([Math.log((byRow.shares[1] as number) / (byRow.shares[0] as number))], [scale * ((cosines[25] as number) - (cosines[24] as number))]);
  const { name = '', picture } = data.shown?.(3) ?? {};
  expect(byRow.picture).toEqual(picture);
  const file = files.find((one) => one.name === name);
  const byFile = await lookAt(device, loaded, null, { name, file: new Blob([file?.bytes as Uint8Array<ArrayBuffer>]) }, texts, null);
  expect(byFile).toEqual(byRow);
});

test('held-out pictures for a text', async () => {
  const { cosines } = await table();
  const found = await findPictures(device, loaded, null, data.shown?.(2).text as string, data);
  expect(found.labels).toEqual(Array.from({ length: 8 }, (_, i) => data.shown?.(i).name));
  expect(found.pictures[5]).toEqual(data.shown?.(5).picture);
  close(found.cosines as number[], Array.from({ length: 8 }, (_, i) => cosines[8 * i + 2] as number));
  expect(found.shares.reduce((a, b) => a + b)).toBeCloseTo(1, 6);
});

test('what cannot be answered says why', async () => {
  await expect(lookAt(device, loaded, null, { row: 8 }, ['a cat'], data)).rejects.toMatchObject({ message: 'there is no held-out picture 9 any more', hint: 'The data were changed: choose the picture again.' });
  await expect(lookAt(device, loaded, null, { row: 0 }, null, data)).rejects.toMatchObject({ hint: 'Write one or more, each on a line.' });
  await expect(findPictures(device, loaded, null, 'a cat', { ...data, validation: () => [] })).rejects.toMatchObject({ hint: 'Hold a larger share of the data out.' });
  const vit = await loadTiny(device, VIT, 1, { kind: 'image-classification', labels: ['a', 'b'] });
  await expect(findPictures(device, { ...vit, name: 'patches' }, null, 'a cat', data)).rejects.toThrow('patches: it reads no texts beside pictures');
  freeWeights(device, vit);
});
