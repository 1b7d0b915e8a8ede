// Batches for models that read a row in both directions: rows framed by the model's special tokens ([CLS] … [SEP]), with an attention
// mask; a class a row, or hidden tokens to be guessed. Batches are pure functions of (data, options, step), as in dataset.ts.
import { ColumnsError, ConfigError, DataError } from '../util/errors';
import { shuffle, uniform } from '../util/random';
import { type Batch, type DataFile, type DatasetOptions, type FileDataset, ORDER_STREAM, checkOptions, hashOf, histogram, nearOf, plural, sha256, sidesOf } from './dataset';
import { encodeText } from './encode';
import { type Signed, sign } from './near';
import { type Columns, type LabelRow, type ParsedData, parseRows, plainText } from './rows';
import { list, readTable } from './table';
import type { Tokenizer } from './tokenizer';

/** A row's text, or two texts. */
export interface Example {
  readonly place: string;
  readonly text: string;
  readonly second?: string;
  /** Name of its class. */
  readonly label?: string;
}

export type EncoderTask = { readonly kind: 'masked-lm' } | { readonly kind: 'sequence-classification'; readonly labels: readonly string[] };

const MASK_STREAM = 0x6461_0010;
const MASK_HELD_STREAM = 0x6461_0011;
/** Devlin et al. 2018, 3.1: of all tokens 15 % are to be guessed; of these 80 % are hidden, 10 % are another token, 10 % stay. */
const [CHOSEN, HIDDEN, OTHER] = [0.15, 0.8, 0.9];
const IGNORED = -100;
/** A window of a running text is compared with no other. */
const NOTHING: Signed = sign('');

/** Rows of texts, or of pairs of texts, with a label each: any table that src/data reads. */
export async function readExamples(file: DataFile, columns: Columns = {}): Promise<LabelRow[]> {
  return (await labelled(file, columns)).rows;
}

async function labelled(file: DataFile, columns: Columns): Promise<{ parsed: ParsedData; rows: LabelRow[] }> {
  const parsed = parseRows(file.name, await readTable(file), columns);
  const rows = parsed.rows.flatMap((row) => (row.kind === 'label' ? [row] : []));
  if (rows.length === 0) {
    throw new ColumnsError(`${file.name}: there are no labels in it: ${parsed.format === 'text' ? 'it is a running text' : `the columns are ${list(parsed.columns)}`}`, 'Give rows with a text and a label each, or choose the columns.', parsed.columns);
  }
  return { parsed, rows };
}

/** The classes of these rows: in the checkpoint's order where it names all of them, else by name, numbers in their own order. */
export function classesOf(name: string, rows: readonly Pick<Example, 'label'>[], known: readonly string[] = []): string[] {
  const found = [...new Set(rows.map((row) => row.label as string))];
  if (found.every((label) => known.includes(label))) return [...known];
  if (found.length < 2) throw new DataError(`${name}: every row has the label ${JSON.stringify(found[0])}`, 'Classification wants at least two classes.');
  if (found.length > rows.length / 2 && found.length > 20) throw new DataError(`${name}: ${found.length} different labels in ${rows.length} rows`, 'Labels are the names of a few classes: is this the right column?');
  return found.sort((a, b) => Number(a) - Number(b) || (a < b ? -1 : 1));
}

interface Row { readonly ids: readonly number[]; readonly types: readonly number[]; readonly special: readonly boolean[]; readonly label: number; readonly total: number; readonly signed: Signed }

/** Rows of texts with classes, split by `options.holdout` and `options.test`, or with held-out rows of their own. */
export async function classificationDataset(file: DataFile, validation: DataFile | null, labels: readonly string[], tokenizer: Tokenizer, options: DatasetOptions, columns: Columns = {}): Promise<FileDataset> {
  checkOptions(options);
  const encode = (name: string, examples: readonly LabelRow[]) => examples.map((row) => encodeRow(name, row, labels, tokenizer, options.seq));
  const { parsed, rows: examples } = await labelled(file, columns);
  const all = encode(file.name, examples);
  const side = validation ? new Uint8Array(all.length) : sidesOf(file.name, examples.map(({ text, second }) => JSON.stringify([text, second])), options);
  const part = (mark: number) => all.filter((_, i) => side[i] === mark);
  const train = part(0), held = validation ? encode(validation.name, await readExamples(validation, columns)) : part(1);
  const absent = labels.filter((_, label) => !train.some((row) => row.label === label));
  const warnings = absent.length > 0 ? [`No training row has the label ${absent.map((label) => JSON.stringify(label)).join(', ')}.`] : [];
  return assemble(file, validation, parsed, { train, validation: held, test: part(2) }, warnings, { kind: 'sequence-classification', labels }, tokenizer, options);
}

/** Texts of which some tokens are hidden: rows, or windows of a running text. */
export async function maskedDataset(file: DataFile, validation: DataFile | null, tokenizer: Tokenizer, options: DatasetOptions, columns: Columns = {}): Promise<FileDataset> {
  checkOptions(options);
  if (tokenizer.mask === null) throw new ConfigError('tokenizer_config.json: there is no mask_token', 'Masked language modelling wants a model with a mask token.');
  const { parsed, rows, keys } = await maskedRows(file, tokenizer, options.seq, columns);
  const side = validation ? new Uint8Array(rows.length) : parsed.format === 'text' ? lastRows(file.name, rows.length, options) : sidesOf(file.name, keys, options);
  const part = (mark: number) => rows.filter((_, i) => side[i] === mark);
  const held = validation ? (await maskedRows(validation, tokenizer, options.seq, columns)).rows : part(1);
  return assemble(file, validation, parsed, { train: part(0), validation: held, test: part(2) }, [], { kind: 'masked-lm' }, tokenizer, options);
}

async function maskedRows(file: DataFile, tokenizer: Tokenizer, seq: number, columns: Columns): Promise<{ parsed: ParsedData; rows: Row[]; keys: string[] }> {
  const parsed = parseRows(file.name, await readTable(file), columns);
  if (parsed.format === 'rows') {
    const texts = parsed.rows.map((row) => ({ place: row.place, text: plainText(row) }));
    return { parsed, rows: texts.map((row) => encodeRow(file.name, row, [], tokenizer, seq)), keys: texts.map((row) => row.text) };
  }
  const ids = await encodeText(parsed.rows[0].text, { ...tokenizer, bos: null, eos: null });
  const room = roomOf(file.name, tokenizer, seq, false);
  const windows = Array.from({ length: Math.floor(ids.length / room) }, (_, i) => framed([...ids.subarray(i * room, (i + 1) * room)], null, IGNORED, tokenizer, room, NOTHING));
  if (windows.length === 0) throw new DataError(`${file.name}: too short: ${plural(ids.length, 'token')}, one row wants ${room}`, 'Add text, or lower the row length (seq).');
  return { parsed, rows: windows, keys: [] };
}

/** The end of a running text is held out, validation before test, each in one piece: the side of each row. */
function lastRows(name: string, count: number, { holdout, test = 0 }: DatasetOptions): Uint8Array {
  const [held, tested] = [holdout, test].map((share) => (share === 0 ? 0 : Math.max(1, Math.round(share * count)))) as [number, number];
  if (held + tested >= count) throw new DataError(`${name}: too short: ${plural(count, 'row')}, training, validation and test want one each`, 'Add text, lower the row length (seq), or set the held-out share to 0.');
  return Uint8Array.from({ length: count }, (_, i) => (i >= count - tested ? 2 : i >= count - tested - held ? 1 : 0));
}

function encodeRow(name: string, { place, text, second, label }: Example, labels: readonly string[], tokenizer: Tokenizer, seq: number): Row {
  const number = label === undefined ? IGNORED : labels.indexOf(label);
  if (label !== undefined && number < 0) throw new DataError(`${name}: ${place}: the label ${JSON.stringify(label)} is none of the classes: ${labels.join(', ')}`, 'Use the same labels in all files.');
  const [a, b] = [text, second].map((part) => (part === undefined ? null : tokenizer.encode(part, { addSpecial: false })));
  return framed(a as number[], b ?? null, number, tokenizer, roomOf(name, tokenizer, seq, second !== undefined), sign(second === undefined ? text : `${text}\n${second}`));
}

/** One text, or two, as a row of its own length, cut to `most` tokens; nothing in it is hidden. */
export function textRow(text: string, second: string | undefined, tokenizer: Tokenizer, most: number): Pick<Batch, 'input_ids' | 'attention_mask' | 'token_type_ids'> {
  const { ids, types } = encodeRow('the text', { place: '', text, ...(second === undefined ? {} : { second }) }, [], tokenizer, most);
  return { input_ids: Uint32Array.from(ids), attention_mask: new Uint32Array(ids.length).fill(1), token_type_ids: Uint32Array.from(types) };
}

/** Tokens of text in a row: what the frame leaves. */
function roomOf(name: string, tokenizer: Tokenizer, seq: number, pair: boolean): number {
  const room = seq - tokenizer.frame([], pair ? [] : null).ids.length;
  if (room < (pair ? 2 : 1)) throw new DataError(`${name}: rows of ${seq} tokens leave no room for text beside the special tokens`, 'Raise the row length (seq).');
  return room;
}

/** Cut to `room` tokens, the longer of two texts first, and framed. */
function framed(a: readonly number[], b: readonly number[] | null, label: number, tokenizer: Tokenizer, room: number, signed: Signed): Row {
  const total = a.length + (b?.length ?? 0);
  let [keepA, keepB] = [a.length, b?.length ?? 0];
  while (keepA + keepB > room) keepA >= keepB ? keepA-- : keepB--;
  return { label, signed, total: total + (tokenizer.frame([], b && []).ids.length), ...tokenizer.frame(a.slice(0, keepA), b?.slice(0, keepB) ?? null) };
}

interface Sides { readonly train: readonly Row[]; readonly validation: readonly Row[]; readonly test: readonly Row[] }

async function assemble(file: DataFile, validationFile: DataFile | null, { format, form, columns, used }: ParsedData, { train, validation, test }: Sides, warnings: string[], task: EncoderTask, tokenizer: Tokenizer, options: DatasetOptions): Promise<FileDataset> {
  const { batch: size, seq, seed } = options;
  const all = [...train, ...validation, ...test];
  const cutRows = all.filter((row) => row.total > seq).length;
  if (cutRows > 0) warnings.push(`${cutRows} of ${plural(all.length, 'row')} ${cutRows === 1 ? 'is' : 'are'} longer than ${seq} tokens and will be cut. Raise the row length (seq) to keep them whole.`);
  if (train.length < size) warnings.push(`There ${train.length === 1 ? 'is' : 'are'} only ${plural(train.length, 'training row')} for batches of ${size}: a batch shows a row more than once.`);
  let shuffled: { epoch: number; order: Uint32Array } | undefined;
  const orderOf = (epoch: number) => {
    if (shuffled?.epoch !== epoch) shuffled = { epoch, order: shuffle(train.length, seed, ORDER_STREAM, epoch * train.length) };
    return shuffled.order;
  };
  const collate = (rows: readonly Row[], stream: number, first: number) => collateRows(rows, task, tokenizer, options, stream, first);
  const fileHash = ({ content }: DataFile) => sha256(typeof content === 'string' ? new TextEncoder().encode(content) : content);
  const chosenOf = (side: readonly Row[], chosen: number) => Array.from({ length: chosen }, (_, i) => side[Math.floor((i * side.length) / chosen)] as Row);
  const looked = Math.min(validation.length, (options.validationBatches ?? 16) * size);
  const held = (side: readonly Row[], chosen: number) => {
    const rows = chosenOf(side, chosen);
    return Array.from({ length: Math.ceil(chosen / size) }, (_, i) => collate(rows.slice(i * size, (i + 1) * size), MASK_HELD_STREAM, i * size));
  };
  const words = (side: readonly Row[]) => side.map(({ ids, types, label }) => [ids, types, [label]]);
  const padding = 1 - train.reduce((sum, row) => sum + row.ids.length, 0) / (train.length * seq);
  const counted = (label: number) => ({ train: train.filter((row) => row.label === label).length, validation: validation.filter((row) => row.label === label).length, test: test.filter((row) => row.label === label).length });
  return {
    summary: {
      name: file.name, format, form, hash: await fileHash(file), tokensHash: await hashOf([train, validation, test].map(words)), columns: [...columns], used, cells: [],
      rows: all.length, tokens: all.reduce((sum, row) => sum + row.total, 0), trainRows: train.length, validationRows: validation.length, testRows: test.length,
      cutRows, cutTokens: all.reduce((sum, row) => sum + row.total - row.ids.length, 0), lengths: histogram(all.map((row) => row.total)),
      packing: { on: false, rows: train.length, packedRows: train.length, padding, packedPadding: padding },
      classes: task.kind === 'sequence-classification' ? task.labels.map((label, i) => ({ label, ...counted(i) })) : null,
      near: format === 'text' ? { count: 0, examples: [] } : nearOf([...validation, ...test], train),
      preview: train.slice(0, 5).map((row) => ({ tokens: tokenizer.pieces([...row.ids]), loss: row.ids.map(() => false), total: row.total, cut: row.total - row.ids.length })),
      warnings,
    },
    ...(validationFile ? { validationHash: await fileHash(validationFile) } : {}),
    trainTokens: train.reduce((sum, row) => sum + row.ids.length, 0),
    validationTokens: validation.reduce((sum, row) => sum + row.ids.length, 0),
    batch(step) {
      const rows = Array.from({ length: size }, (_, b) => {
        const index = step * size + b;
        return train[orderOf(Math.floor(index / train.length))[index % train.length] as number] as Row;
      });
      return collate(rows, MASK_STREAM, step * size);
    },
    validation: () => held(validation, looked),
    shown: (row) => ({ text: chosenOf(validation, looked)[row]?.signed.text ?? '' }),
    test: () => held(test, test.length),
  };
}

/** Right-padded; places without a row are padding that nothing attends to, and without a label. Row i is masked by draw `first` + i. */
function collateRows(rows: readonly Row[], task: EncoderTask, tokenizer: Tokenizer, { batch: size, seq, seed }: DatasetOptions, stream: number, first: number): Batch {
  const input_ids = new Uint32Array(size * seq).fill(tokenizer.pad);
  const [attention_mask, token_type_ids] = [new Uint32Array(size * seq), new Uint32Array(size * seq)];
  const classify = task.kind === 'sequence-classification';
  const labels = new Int32Array(classify ? size : size * seq).fill(IGNORED);
  rows.forEach(({ ids, types, special, label }, b) => {
    input_ids.set(ids, b * seq);
    token_type_ids.set(types, b * seq);
    attention_mask.fill(1, b * seq, b * seq + ids.length);
    if (classify) {
      labels[b] = label;
      return;
    }
    ids.forEach((id, t) => {
      const draw = (which: number) => uniform(seed, stream, ((first + b) * seq + t) * 4 + which);
      if (special[t] || draw(0) >= CHOSEN) return;
      labels[b * seq + t] = id;
      const fate = draw(1);
      if (fate < HIDDEN) input_ids[b * seq + t] = tokenizer.mask as number;
      else if (fate < OTHER) input_ids[b * seq + t] = Math.floor(draw(2) * tokenizer.vocabSize);
    });
  });
  return { input_ids, labels, attention_mask, token_type_ids, lossTokens: labels.filter((label) => label !== IGNORED).length };
}
