// Batches of pictures: with the number of a class each, beside the texts that stand for the classes, or beside captions. Pictures are decoded
// once and kept as the bytes that the model reads; a batch is a pure function of (data, options, step), as in ../dataset.ts.
import { ConfigError, DataError } from '../../util/errors';
import { pacer, type Watch } from '../../util/pace';
import { shuffle } from '../../util/random';
import { type Batch, type DataSummary, type FileDataset, NEAR_EXAMPLES, ORDER_STREAM, plural, sha256, sidesOf, SPARE_SHARE } from '../dataset';
import type { Columns } from '../rows';
import type { DataFile } from '../table';
import type { Tokenizer } from '../tokenizer';
import { decodePicture } from './decode';
import { nearPictures, type Sketch, sketch } from './near';
import { type Preprocess, normalise, pixelsOf } from './preprocess';
import { type PictureRow, type PictureRows, readPictures } from './read';

export interface PictureOptions {
  batch: number;
  seed: number;
  holdout: number;
  test?: number;
  validationBatches?: number;
}

/** What the pictures are for. Prompts: a text for each class, `{}` standing for its name. */
export type PictureTask =
  | { readonly kind: 'image-classification'; readonly labels: readonly string[] }
  | { readonly kind: 'image-text'; readonly labels: readonly string[]; readonly template: string }
  | { readonly kind: 'image-caption' };

/** How a model reads texts beside pictures: tokens of a row, and the token at whose first place a text is read. */
export interface TextSide { readonly tokenizer: Tokenizer; readonly time: number; readonly end: number | 'largest' }

interface Kept { readonly place: string; readonly label?: string; readonly caption?: string; /** [channels, size, size] */ readonly pixels: Uint8Array; readonly sketch: Sketch }

/** A file read and decoded. */
export interface PreparedPictures extends Omit<PictureRows, 'rows'> {
  readonly name: string;
  readonly hash: string;
  readonly how: Preprocess;
  readonly rows: readonly Kept[];
}

const IGNORED = -100;
const [PREVIEW, HELD_PREVIEW] = [24, 12];
/** What all decoded pictures together may take. */
const MOST_BYTES = 2 ** 30;

/** Decodes every picture. Up to one in a hundred may be unreadable and is left out by name; beyond it, something is wrong with the data. */
export async function preparePictures(file: DataFile, wanted: 'label' | 'caption', how: Preprocess, columns: Columns = {}, watch: Watch = {}): Promise<PreparedPictures> {
  const { rows, ...read } = await readPictures(file, wanted, columns, watch);
  const bytes = rows.length * how.channels * how.size ** 2;
  if (bytes > MOST_BYTES) throw new DataError(`${file.name}: ${rows.length} pictures of ${how.size} × ${how.size} take ${Math.round(bytes / 2 ** 20)} MiB, more than the ${MOST_BYTES / 2 ** 20} MiB that are kept`, 'Give fewer pictures.');
  const step = pacer(watch);
  const kept: Kept[] = [];
  const spare: DataError[] = [];
  const content: string[] = [];
  for (const [i, row] of rows.entries()) {
    const data = await row.read();
    // Of a folder the hash is over its files; a zip and a parquet file have their own.
    if (file.files) content.push(`${row.place}\0${row.label ?? row.caption}\0${await sha256(new Uint8Array(data))}`);
    try {
      kept.push(await keptOf(`${file.name}: ${row.place}`, row, data, how));
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      spare.push(error);
    }
    await step(i + 1, rows.length);
  }
  if (spare.length > SPARE_SHARE * rows.length) {
    const [first] = spare as [DataError];
    throw spare.length === 1 ? first : new DataError(`${first.message}; ${spare.length - 1} more of ${rows.length} pictures are as bad`, first.hint);
  }
  const notes = spare.length === 0 ? read.notes : [...read.notes, `${spare.length} of ${plural(rows.length, 'picture')} cannot be read and ${spare.length === 1 ? 'is' : 'are'} left out; the first: ${spare[0]?.message}.`];
  const whole = file.files ? new TextEncoder().encode(content.join('\n')) : (file.content as Uint8Array<ArrayBuffer>);
  return { ...read, notes, name: file.name, hash: await sha256(whole), how, rows: kept };
}

async function keptOf(where: string, { place, label, caption }: PictureRow, bytes: Uint8Array, how: Preprocess): Promise<Kept> {
  const raster = await decodePicture(where, bytes);
  if (how.resize === null && how.crop === null && (raster.width !== how.size || raster.height !== how.size)) throw new DataError(`${where}: ${raster.width} × ${raster.height} pixels, and the checkpoint resizes nothing: it reads ${how.size} × ${how.size}`, 'Resize the picture.');
  const pixels = pixelsOf(raster, how);
  return { place, ...(label === undefined ? {} : { label }), ...(caption === undefined ? {} : { caption }), pixels, sketch: sketch(pixels, how) };
}

/** The text of a class. */
export const promptOf = (template: string, label: string): string => template.replaceAll('{}', label);

/** Rows split by seed, or all of `validation` held out. */
export async function arrangePictures(prepared: PreparedPictures, validation: PreparedPictures | null, task: PictureTask, texts: TextSide | null, options: PictureOptions): Promise<FileDataset> {
  const { batch: size, seed } = options;
  checkPictureOptions(options);
  const { name, how } = prepared;
  if (task.kind === 'image-text' && !task.template.includes('{}')) throw new ConfigError(`the prompt of the classes has no place for their names: ${JSON.stringify(task.template)}`, 'Write {} where the name belongs, as in "a photo of a {}".');
  const labelled = (from: PreparedPictures) => {
    if (task.kind === 'image-caption') return from.rows;
    for (const { place, label } of from.rows) if (!task.labels.includes(label as string)) throw new DataError(`${from.name}: ${place}: the label ${JSON.stringify(label)} is none of the classes: ${task.labels.join(', ')}`, 'Use the same labels in all files.');
    return from.rows;
  };
  const all = labelled(prepared);
  // Equal pictures go to one side together.
  const side = validation ? new Uint8Array(all.length) : sidesOf(name, all.map((row) => row.sketch.key), options);
  const part = (mark: number) => all.filter((_, i) => side[i] === mark);
  const [train, held, tested] = [part(0), validation ? labelled(validation) : part(1), part(2)];
  const captions = task.kind === 'image-caption';
  const most = Math.min(held.length, (options.validationBatches ?? 16) * size);
  // Captions are told from one another within a batch: all held-out batches are full, where there are rows for one.
  const looked = captions && most >= size ? most - (most % size) : most;
  const chosenOf = (from: readonly Kept[], count: number) => spread(from.length, count).map((i) => from[i] as Kept);
  const collate = collator(task, how, texts, size);
  const batches = (from: readonly Kept[], count: number) => {
    const chosen = chosenOf(from, count);
    return Array.from({ length: Math.ceil(count / size) }, (_, i) => collate(chosen.slice(i * size, (i + 1) * size)));
  };
  let shuffled: { epoch: number; order: Uint32Array } | undefined;
  const orderOf = (epoch: number) => {
    if (shuffled?.epoch !== epoch) shuffled = { epoch, order: shuffle(train.length, seed, ORDER_STREAM, epoch * train.length) };
    return shuffled.order;
  };
  const near = nearPictures([...held, ...tested], train, NEAR_EXAMPLES);
  const classes = captions ? null : task.labels.map((label) => ({ label, ...countsOf(label, { train, validation: held, test: tested }) })).filter(({ train: n, validation: v, test: t }) => n + v + t > 0).sort((a, b) => b.train - a.train);
  const words = (from: readonly Kept[]) => from.map((row) => `${row.sketch.key} ${row.label ?? ''}\0${row.caption ?? ''}`);
  const split = [train, held, tested].map((from) => `${from.length}\n${words(from).join('\n')}`).join('\n\n');
  const rowsAll = train.length + held.length + tested.length;
  const previewOf = (row: Kept) => ({ ...shownOf(row, how), ...(row.label === undefined ? {} : { label: row.label }) });
  const summary: DataSummary = {
    name, format: 'pictures', form: prepared.form, hash: prepared.hash, tokensHash: await sha256(new TextEncoder().encode(split)), columns: [...prepared.columns], used: prepared.used, cells: [],
    rows: rowsAll, tokens: 0, trainRows: train.length, validationRows: held.length, testRows: tested.length, cutRows: 0, cutTokens: 0,
    packing: { on: false, rows: 0, packedRows: 0, padding: 0, packedPadding: 0 }, lengths: { width: 1, counts: [] }, preview: [], classes, near,
    pictures: { size: how.size, channels: how.channels, preview: chosenOf(train, PREVIEW).map(previewOf), held: spread(looked, HELD_PREVIEW).map((row) => ({ row, ...previewOf(chosenOf(held, looked)[row] as Kept) })) },
    warnings: [...new Set([...prepared.notes, ...(validation?.notes ?? [])]), ...warningsOf(task, train, held, tested, near.count, options)],
  };
  return {
    summary, ...(validation ? { validationHash: validation.hash } : {}),
    trainTokens: train.length, validationTokens: held.length,
    batch: (step) => collate(Array.from({ length: size }, (_, b) => {
      const index = step * size + b;
      return train[orderOf(Math.floor(index / train.length))[index % train.length] as number] as Kept;
    })),
    validation: () => batches(held, looked),
    test: () => batches(tested, tested.length),
    shown: (row) => {
      const found = chosenOf(held, looked)[row];
      return found ? shownOf(found, how) : {};
    },
  };
}

/** `most` of the numbers below `count`, evenly apart. */
const spread = (count: number, most: number): number[] => Array.from({ length: Math.min(count, most) }, (_, i) => Math.floor((i * count) / Math.min(count, most)));

function checkPictureOptions({ batch, holdout, test = 0 }: PictureOptions): void {
  if (!Number.isInteger(batch) || batch < 1) throw new ConfigError(`training.batch: a batch needs at least 1 picture: got ${batch}`, 'Give a whole number from 1.');
  for (const [name, share] of [['holdout', holdout], ['test', test]] as const) if (!(share >= 0 && share <= 0.5)) throw new ConfigError(`${name}: not a share from 0 to 0.5: got ${share}`, 'Give a share such as 0.1.');
}

const countsOf = (label: string, sides: Readonly<Record<'train' | 'validation' | 'test', readonly Kept[]>>) => ({
  train: sides.train.filter((row) => row.label === label).length, validation: sides.validation.filter((row) => row.label === label).length, test: sides.test.filter((row) => row.label === label).length,
});

/** A picture as the model sees it, for people. */
function shownOf({ place, caption, pixels }: Kept, { channels, size }: Preprocess) {
  const rgba = new Uint8ClampedArray(4 * size * size).fill(255);
  for (let p = 0; p < size * size; p++) for (let c = 0; c < 3; c++) rgba[4 * p + c] = pixels[Math.min(c, channels - 1) * size * size + p] as number;
  return { name: place, ...(caption === undefined ? {} : { text: caption }), picture: { width: size, height: size, rgba } };
}

function warningsOf(task: PictureTask, train: readonly Kept[], held: readonly Kept[], tested: readonly Kept[], near: number, { batch }: PictureOptions): string[] {
  const warnings: string[] = [];
  const all = [...train, ...held, ...tested];
  const repeated = all.length - new Set(all.map((row) => row.sketch.key)).size;
  if (repeated > 0) warnings.push(`${repeated} of ${plural(all.length, 'picture')} repeat another pixel by pixel; equal pictures are kept on one side of the split.`);
  if (near > 0) warnings.push(`${near} of ${plural(held.length + tested.length, 'held-out picture')} nearly ${near === 1 ? 'repeats' : 'repeat'} a training picture: the validation loss will look better than it is.`);
  if (task.kind !== 'image-caption') {
    const absent = [...new Set(all.map((row) => row.label as string))].filter((label) => !train.some((row) => row.label === label));
    if (absent.length > 0) warnings.push(`No training picture has the label ${absent.map((label) => JSON.stringify(label)).join(', ')}.`);
  } else if (held.length > 0 && held.length < batch) warnings.push(`There ${held.length === 1 ? 'is' : 'are'} only ${plural(held.length, 'held-out picture')} for batches of ${batch}: captions are told apart among fewer than in training.`);
  if (train.length < batch) warnings.push(`There ${train.length === 1 ? 'is' : 'are'} only ${plural(train.length, 'training picture')} for batches of ${batch}: a batch shows a picture more than once.`);
  return warnings;
}

// ---- batches ----

/** Makes a batch of at most `size` rows; places without a row are black and have no label. */
function collator(task: PictureTask, how: Preprocess, texts: TextSide | null, size: number): (rows: readonly Kept[]) => Batch {
  const area = how.size ** 2;
  const table = normalise(how);
  const prompts = task.kind === 'image-text' ? encodeTexts(task.labels.map((label) => promptOf(task.template, label)), texts) : null;
  return (rows) => {
    const pixel_values = new Float32Array(size * how.channels * area);
    rows.forEach(({ pixels }, b) => {
      for (let c = 0, i = b * how.channels * area, from = 0; c < how.channels; c++) for (let p = 0; p < area; p++) pixel_values[i++] = table[c * 256 + (pixels[from++] as number)] as number;
    });
    const labels = new Int32Array(size).fill(IGNORED);
    rows.forEach((row, b) => { labels[b] = task.kind === 'image-caption' ? b : task.labels.indexOf(row.label as string); });
    const words = task.kind === 'image-caption' ? encodeTexts(Array.from({ length: size }, (_, b) => rows[b]?.caption ?? ''), texts) : prompts;
    return { input_ids: words ? words.ids.slice() : new Uint32Array(), labels, pixel_values, ...(words ? { text_ends: words.ends.slice() } : {}), lossTokens: rows.length };
  };
}

/** Texts [texts, time], framed, cut and padded, and the rows among texts · time at which they are read. */
export function encodeTexts(texts: readonly string[], side: TextSide | null): { ids: Uint32Array; ends: Uint32Array } {
  if (!side) throw new ConfigError('the model has no tokenizer.json', 'Add tokenizer.json to its folder: it reads texts beside pictures.');
  const { tokenizer, time, end } = side;
  const room = time - tokenizer.frame([], null).ids.length;
  const ids = new Uint32Array(texts.length * time).fill(tokenizer.pad);
  const ends = new Uint32Array(texts.length);
  texts.forEach((text, t) => {
    const row = tokenizer.frame(tokenizer.encode(text, { addSpecial: false }).slice(0, room), null).ids;
    ids.set(row, t * time);
    // As argmax over matches has it, a text without an end is read at its first token.
    ends[t] = t * time + Math.max(0, row.indexOf(end === 'largest' ? Math.max(...row) : end));
  });
  return { ids, ends };
}
