// Batches for models that read a row in both directions: rows framed by the model's special tokens ([CLS] … [SEP]), with an attention
// mask; a class a row, or hidden tokens to be guessed. Batches are pure functions of (data, options, step), as in dataset.ts.
import { ConfigError, DataError } from '../util/errors';
import { shuffle, uniform } from '../util/random';
import { type Batch, type DataFile, type Dataset, type DatasetOptions, ORDER_STREAM, bothForms, checkOptions, heldOut, histogram, plural, sha256 } from './dataset';
import { parseData } from './rows';
import type { Tokenizer } from './tokenizer';

/** A row's text, or two texts. */
export interface Example {
  readonly line: number;
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

/** Rows of .jsonl: {"text": …, "label": …}, with "text_pair" for tasks on two texts. Labels may be numbers. */
export function readExamples({ name, content }: DataFile): Example[] {
  const text = typeof content === 'string' ? content : new TextDecoder().decode(content);
  const examples: Example[] = [];
  text.split(/\r\n?|\n/).forEach((source, index) => {
    if (source.trim() === '') return;
    const where = `${name}: line ${index + 1}`;
    const form = 'Write one row a line: {"text": "…", "label": "…"}, with "text_pair" where there are two texts.';
    let row: Record<string, unknown>;
    try {
      row = JSON.parse(source) as Record<string, unknown>;
    } catch (error) {
      throw new DataError(`${where}: broken JSON: ${(error as Error).message}`, form);
    }
    const wantText = (key: string): string => {
      const value = row?.[key];
      if (typeof value !== 'string' || value.trim() === '') throw new DataError(`${where}: "${key}" must be a text: got ${JSON.stringify(value) ?? 'nothing'}`, form);
      return value;
    };
    const label = row?.label;
    if (typeof label !== 'number' && typeof label !== 'boolean' && (typeof label !== 'string' || label.trim() === '')) throw new DataError(`${where}: "label" must be a text or a number: got ${JSON.stringify(label) ?? 'nothing'}`, form);
    examples.push({ line: index + 1, text: wantText('text'), ...(row.text_pair === undefined ? {} : { second: wantText('text_pair') }), label: String(label) });
  });
  if (examples.length === 0) throw new DataError(`${name}: there is nothing to learn: no row`, 'Choose a file with rows in it.');
  return examples;
}

/** The classes of these rows: in the checkpoint's order where it names all of them, else by name, numbers in their own order. */
export function classesOf(name: string, rows: readonly Example[], known: readonly string[] = []): string[] {
  const found = [...new Set(rows.map((row) => row.label as string))];
  if (found.every((label) => known.includes(label))) return [...known];
  if (found.length < 2) throw new DataError(`${name}: every row has the label ${JSON.stringify(found[0])}`, 'Classification wants at least two classes.');
  if (found.length > rows.length / 2 && found.length > 20) throw new DataError(`${name}: ${found.length} different labels in ${rows.length} rows`, 'Labels are the names of a few classes: is this the right column?');
  return found.sort((a, b) => Number(a) - Number(b) || (a < b ? -1 : 1));
}

interface Row { readonly line: number; readonly ids: readonly number[]; readonly types: readonly number[]; readonly special: readonly boolean[]; readonly label: number; readonly total: number }

/** Rows of texts with classes, split by `options.holdout` or with held-out rows of their own. */
export async function classificationDataset(file: DataFile, validation: DataFile | null, labels: readonly string[], tokenizer: Tokenizer, options: DatasetOptions): Promise<Dataset> {
  checkOptions(options);
  const encode = (one: DataFile) => readExamples(one).map((row) => encodeRow(one.name, row, labels, tokenizer, options.seq));
  const keys = (one: DataFile) => readExamples(one).map(({ text, second }) => JSON.stringify([text, second]));
  const all = encode(file);
  const held = validation ? new Set<number>() : heldOut(file.name, keys(file), options);
  const train = all.filter((_, i) => !held.has(i));
  const kept = validation ? encode(validation) : all.filter((_, i) => held.has(i));
  const absent = labels.filter((_, label) => !train.some((row) => row.label === label));
  const warnings = absent.length > 0 ? [`No training row has the label ${absent.map((label) => JSON.stringify(label)).join(', ')}.`] : [];
  return assemble(file, validation, 'rows', train, kept, warnings, { kind: 'sequence-classification', labels }, tokenizer, options);
}

/** Texts of which some tokens are hidden: rows of .jsonl, or windows of a running text. */
export async function maskedDataset(file: DataFile, validation: DataFile | null, tokenizer: Tokenizer, options: DatasetOptions): Promise<Dataset> {
  checkOptions(options);
  if (tokenizer.mask === null) throw new ConfigError('tokenizer_config.json: there is no mask_token', 'Masked language modelling wants a model with a mask token.');
  const { format, rows, keys } = maskedRows(file, tokenizer, options.seq);
  const held = validation ? new Set<number>() : format === 'text' ? lastRows(file.name, rows.length, options.holdout) : heldOut(file.name, keys, options);
  const kept = validation ? maskedRows(validation, tokenizer, options.seq).rows : rows.filter((_, i) => held.has(i));
  return assemble(file, validation, format, rows.filter((_, i) => !held.has(i)), kept, [], { kind: 'masked-lm' }, tokenizer, options);
}

function maskedRows(file: DataFile, tokenizer: Tokenizer, seq: number): { format: 'text' | 'rows'; rows: Row[]; keys: string[] } {
  const { format, rows } = parseData(file.name, bothForms(file).text);
  if (format === 'rows') {
    const texts = rows.map((row) => ({ line: row.line, text: row.kind === 'text' ? row.text : `${row.prompt} ${row.completion}` }));
    return { format, rows: texts.map((row) => encodeRow(file.name, row, [], tokenizer, seq)), keys: texts.map((row) => row.text) };
  }
  const ids = tokenizer.encode(rows[0].text, { addSpecial: false });
  const room = roomOf(file.name, tokenizer, seq, false);
  const windows = Array.from({ length: Math.floor(ids.length / room) }, (_, i) => framed(1, ids.slice(i * room, (i + 1) * room), null, IGNORED, tokenizer, room));
  if (windows.length === 0) throw new DataError(`${file.name}: too short: ${plural(ids.length, 'token')}, one row wants ${room}`, 'Add text, or lower the row length (seq).');
  return { format, rows: windows, keys: [] };
}

/** The end of a running text is held out, in one piece. */
function lastRows(name: string, count: number, holdout: number): Set<number> {
  if (holdout === 0) return new Set();
  const held = Math.max(1, Math.round(holdout * count));
  if (held >= count) throw new DataError(`${name}: too short: ${plural(count, 'row')}, training and validation want one each`, 'Add text, lower the row length (seq), or set the held-out share to 0.');
  return new Set(Array.from({ length: held }, (_, i) => count - 1 - i));
}

function encodeRow(name: string, { line, text, second, label }: Example, labels: readonly string[], tokenizer: Tokenizer, seq: number): Row {
  const number = label === undefined ? IGNORED : labels.indexOf(label);
  if (label !== undefined && number < 0) throw new DataError(`${name}: line ${line}: the label ${JSON.stringify(label)} is none of the classes: ${labels.join(', ')}`, 'Use the same labels in all files.');
  const [a, b] = [text, second].map((part) => (part === undefined ? null : tokenizer.encode(part, { addSpecial: false })));
  return framed(line, a as number[], b ?? null, number, tokenizer, roomOf(name, tokenizer, seq, second !== undefined));
}

/** Tokens of text in a row: what the frame leaves. */
function roomOf(name: string, tokenizer: Tokenizer, seq: number, pair: boolean): number {
  const room = seq - tokenizer.frame([], pair ? [] : null).ids.length;
  if (room < (pair ? 2 : 1)) throw new DataError(`${name}: rows of ${seq} tokens leave no room for text beside the special tokens`, 'Raise the row length (seq).');
  return room;
}

/** Cut to `room` tokens, the longer of two texts first, and framed. */
function framed(line: number, a: readonly number[], b: readonly number[] | null, label: number, tokenizer: Tokenizer, room: number): Row {
  const total = a.length + (b?.length ?? 0);
  let [keepA, keepB] = [a.length, b?.length ?? 0];
  while (keepA + keepB > room) keepA >= keepB ? keepA-- : keepB--;
  return { line, label, total: total + (tokenizer.frame([], b && []).ids.length), ...tokenizer.frame(a.slice(0, keepA), b?.slice(0, keepB) ?? null) };
}

async function assemble(file: DataFile, validationFile: DataFile | null, format: 'text' | 'rows', train: readonly Row[], validation: readonly Row[], warnings: string[], task: EncoderTask, tokenizer: Tokenizer, options: DatasetOptions): Promise<Dataset> {
  const { batch: size, seq, seed } = options;
  const all = [...train, ...validation];
  const cutRows = all.filter((row) => row.total > seq).length;
  if (cutRows > 0) warnings.push(`${cutRows} of ${plural(all.length, 'row')} ${cutRows === 1 ? 'is' : 'are'} longer than ${seq} tokens and will be cut. Raise the row length (seq) to keep them whole.`);
  if (train.length < size) warnings.push(`There ${train.length === 1 ? 'is' : 'are'} only ${plural(train.length, 'training row')} for batches of ${size}: a batch shows a row more than once.`);
  let shuffled: { epoch: number; order: Uint32Array } | undefined;
  const orderOf = (epoch: number) => {
    if (shuffled?.epoch !== epoch) shuffled = { epoch, order: shuffle(train.length, seed, ORDER_STREAM, epoch * train.length) };
    return shuffled.order;
  };
  const collate = (rows: readonly Row[], stream: number, first: number) => collateRows(rows, task, tokenizer, options, stream, first);
  const hashOf = async (one: DataFile) => sha256(bothForms(one).bytes);
  return {
    summary: {
      name: file.name, format, hash: await hashOf(file), rows: all.length, tokens: all.reduce((sum, row) => sum + row.total, 0),
      trainRows: train.length, validationRows: validation.length, cutRows, lengths: histogram(all.map((row) => row.total)),
      preview: train.slice(0, 5).map((row) => ({ tokens: tokenizer.pieces([...row.ids]), loss: row.ids.map(() => false), total: row.total, cut: row.total - row.ids.length })),
      warnings,
    },
    ...(validationFile ? { validationHash: await hashOf(validationFile) } : {}),
    trainTokens: train.reduce((sum, row) => sum + row.ids.length, 0),
    validationTokens: validation.reduce((sum, row) => sum + row.ids.length, 0),
    batch(step) {
      const rows = Array.from({ length: size }, (_, b) => {
        const index = step * size + b;
        return train[orderOf(Math.floor(index / train.length))[index % train.length] as number] as Row;
      });
      return collate(rows, MASK_STREAM, step * size);
    },
    validation() {
      const chosen = Math.min(validation.length, (options.validationBatches ?? 16) * size);
      const rows = Array.from({ length: chosen }, (_, i) => validation[Math.floor((i * validation.length) / chosen)] as Row);
      return Array.from({ length: Math.ceil(chosen / size) }, (_, i) => collate(rows.slice(i * size, (i + 1) * size), MASK_HELD_STREAM, i * size));
    },
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
