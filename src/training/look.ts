// What a model makes of pictures: the probability of each class of one, or of each of some texts to belong to it; and which of the held-out
// pictures a text belongs to.
import type { FileDataset } from '../data/dataset';
import { decodePicture } from '../data/pictures/decode';
import { encodeTexts, promptOf } from '../data/pictures/dataset';
import { normalise, pixelsOf, preprocessOf } from '../data/pictures/preprocess';
import type { Device } from '../engine/gpu/device';
import { noAdapters } from '../engine/nn/site';
import { type Task, labelsOf } from '../models/model';
import { ConfigError, DataError } from '../util/errors';
import { DEFAULT_TEMPLATE } from './config';
import { Evaluator } from './evaluate';
import type { Picture } from './events';
import type { Attached } from './import';
import type { Judged } from './judge';
import type { LoadedModel } from './loaded';
import { softmax } from './softmax';
import { shapeOf } from './task';

export interface Looked extends Judged { readonly picture: Picture }
export interface Found extends Judged { readonly pictures: Picture[] }
/** A picture of the user's, or a held-out one by its row. */
export type PictureChoice = { readonly name: string; readonly file: Blob } | { readonly row: number };

/** Held-out pictures that a text is held against. */
const AMONG = 48;

/** `texts`: in place of the classes, of a model that reads texts beside pictures. `held`: where rows are found. */
export async function lookAt(device: Device, model: LoadedModel, attached: Attached | null, choice: PictureChoice, texts: readonly string[] | null, held: FileDataset | null): Promise<Looked> {
  const { info, name } = model;
  if (!info.image) throw new ConfigError(`${name}: it reads no pictures`, 'Choose a model of pictures.');
  const task: Task = texts && info.textEnd !== undefined ? { kind: 'image-text', labels: texts, template: '{}' } : model.task;
  const labels = labelsOf(task);
  if (!labels || labels.length === 0) throw new ConfigError('there are no texts to hold the picture against', 'Write one or more, each on a line.');
  const { values, picture } = 'file' in choice ? await ownPicture(model, choice) : heldPicture(held, choice.row);
  const { logits, cosines } = await answer(device, { ...model, task }, attached, values);
  return { labels: [...labels], shares: softmax(logits), ...(cosines ? { cosines: [...cosines] } : {}), picture };
}

/** The held-out pictures, at most 48 of them, with the probability of each to be the one that the text is about. */
export async function findPictures(device: Device, model: LoadedModel, attached: Attached | null, text: string, held: FileDataset): Promise<Found> {
  if (model.info.textEnd === undefined) throw new ConfigError(`${model.name}: it reads no texts beside pictures`, 'Choose a model that matches pictures with texts.');
  const among = heldPictures(held, AMONG);
  if (among.length < 2) throw new DataError('fewer than two pictures are held out: there is nothing to choose from', 'Hold a larger share of the data out.');
  const values = new Float32Array(among.reduce((sum, one) => sum + one.values.length, 0));
  among.forEach((one, i) => values.set(one.values, i * one.values.length));
  const { logits, cosines } = await answer(device, { ...model, task: { kind: 'image-text', labels: [text], template: '{}' } }, attached, values);
  return { labels: among.map(({ name }) => name), shares: softmax(logits), ...(cosines ? { cosines: [...cosines] } : {}), pictures: among.map(({ picture }) => picture) };
}

/** Logits [pictures, classes] of `values` [pictures, channels, size, size]; of models with texts their cosines too. */
async function answer(device: Device, loaded: LoadedModel, attached: Attached | null, values: Float32Array): Promise<{ logits: Float32Array; cosines?: Float32Array }> {
  const { info, task, tokenizer } = loaded;
  const { channels, size } = info.image as NonNullable<typeof info.image>;
  const batch = values.length / (channels * size ** 2);
  const shape = shapeOf(loaded, { batch, seq: info.context });
  const words = info.textEnd === undefined ? null : encodeTexts((labelsOf(task) ?? []).map((label) => promptOf(task.kind === 'image-text' ? (task.template ?? DEFAULT_TEMPLATE) : '{}', label)), tokenizer && { tokenizer, time: shape[1], end: info.textEnd });
  const evaluator = await Evaluator.create(device, loaded, attached?.attachment.adapters ?? noAdapters, shape, { logits: true, cosines: true, ...(attached ? { heads: attached.attachment.heads } : {}), ...(attached?.bound ? { bound: attached.bound } : {}) });
  try {
    const inputs = { input_ids: words?.ids ?? new Uint32Array(), labels: new Int32Array(batch).fill(-100), pixel_values: values, ...(words ? { text_ends: words.ends } : {}) };
    return words ? await evaluator.match(inputs) : { logits: await evaluator.logitsOf(inputs) };
  } finally {
    evaluator.dispose();
  }
}

interface Ready { readonly name: string; readonly values: Float32Array; readonly picture: Picture }

async function ownPicture({ folder, info }: LoadedModel, { name, file }: { readonly name: string; readonly file: Blob }): Promise<Ready> {
  const how = preprocessOf(folder.preprocessor ?? null, info.image as NonNullable<typeof info.image>);
  const raster = await decodePicture(name, new Uint8Array(await file.arrayBuffer()));
  const pixels = pixelsOf(raster, how);
  const [table, area] = [normalise(how), how.size ** 2];
  const rgba = new Uint8ClampedArray(4 * area).fill(255);
  for (let p = 0; p < area; p++) for (let c = 0; c < 3; c++) rgba[4 * p + c] = pixels[Math.min(c, how.channels - 1) * area + p] as number;
  return { name, values: Float32Array.from(pixels, (byte, i) => table[256 * Math.floor(i / area) + byte] as number), picture: { width: how.size, height: how.size, rgba } };
}

/** The first `most` held-out pictures, as evaluations see them. */
function heldPictures(held: FileDataset, most: number): Ready[] {
  const found: Ready[] = [];
  for (const { pixel_values, labels } of held.validation()) {
    const length = (pixel_values?.length ?? 0) / labels.length;
    for (let i = 0; i < labels.length && found.length < most; i++) {
      const { name = '', picture } = held.shown?.(found.length) ?? {};
      if (!pixel_values || !picture) return found;
      found.push({ name, values: pixel_values.slice(i * length, (i + 1) * length), picture });
    }
  }
  return found;
}

function heldPicture(held: FileDataset | null, row: number): Ready {
  const found = held && heldPictures(held, row + 1)[row];
  if (!found) throw new DataError(`there is no held-out picture ${row + 1} any more`, 'The data were changed: choose the picture again.');
  return found;
}
