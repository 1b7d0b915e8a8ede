// What a model makes of one picture of the user's: the probability of each class, or of each of some texts.
import { decodePicture } from '../data/pictures/decode';
import { encodeTexts, promptOf } from '../data/pictures/dataset';
import { normalise, pixelsOf, preprocessOf } from '../data/pictures/preprocess';
import type { Device } from '../engine/gpu/device';
import { noAdapters } from '../engine/nn/site';
import { type Task, labelsOf } from '../models/model';
import { ConfigError } from '../util/errors';
import { DEFAULT_TEMPLATE } from './config';
import { Evaluator } from './evaluate';
import type { Picture } from './events';
import type { Attached } from './import';
import type { LoadedModel } from './loaded';
import { softmax } from './softmax';
import { shapeOf } from './task';

export interface Looked { readonly labels: string[]; readonly shares: number[]; readonly picture: Picture }

/** `texts`: in place of the classes, of a model that reads texts beside pictures. */
export async function lookAt(device: Device, model: LoadedModel, attached: Attached | null, picture: { name: string; file: Blob }, texts: readonly string[] | null): Promise<Looked> {
  const { info, folder, tokenizer } = model;
  if (!info.image) throw new ConfigError(`${model.name}: it reads no pictures`, 'Choose a model of pictures.');
  const task: Task = texts && info.textEnd !== undefined ? { kind: 'image-text', labels: texts, template: '{}' } : model.task;
  const labels = labelsOf(task);
  if (!labels || labels.length === 0) throw new ConfigError('there are no texts to hold the picture against', 'Write one or more, each on a line.');
  const loaded = { ...model, task };
  const how = preprocessOf(folder.preprocessor ?? null, info.image);
  const raster = await decodePicture(picture.name, new Uint8Array(await picture.file.arrayBuffer()));
  const pixels = pixelsOf(raster, how);
  const [table, area] = [normalise(how), how.size ** 2];
  const shape = shapeOf(loaded, { batch: 1, seq: info.context });
  const words = info.textEnd === undefined ? null : encodeTexts(labels.map((label) => promptOf(task.kind === 'image-text' ? (task.template ?? DEFAULT_TEMPLATE) : '{}', label)), tokenizer && { tokenizer, time: shape[1], end: info.textEnd });
  const evaluator = await Evaluator.create(device, loaded, attached?.attachment.adapters ?? noAdapters, shape, { logits: true, ...(attached ? { heads: attached.attachment.heads } : {}), ...(attached?.bound ? { bound: attached.bound } : {}) });
  try {
    const logits = await evaluator.logitsOf({
      input_ids: words?.ids ?? new Uint32Array(), labels: Int32Array.of(-100), pixel_values: Float32Array.from(pixels, (byte, i) => table[256 * Math.floor(i / area) + byte] as number),
      ...(words ? { text_ends: words.ends } : {}),
    });
    const rgba = new Uint8ClampedArray(4 * area).fill(255);
    for (let p = 0; p < area; p++) for (let c = 0; c < 3; c++) rgba[4 * p + c] = pixels[Math.min(c, how.channels - 1) * area + p] as number;
    return { labels: [...labels], shares: softmax(logits), picture: { width: how.size, height: how.size, rgba } };
  } finally {
    evaluator.dispose();
  }
}
