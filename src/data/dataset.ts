// Training batches and held-out batches from a data file. A batch is a pure function of (data, options, step), so a run
// resumes at any step without replay. Labels are not shifted (the model shifts inside); -100 marks a token without loss.
import { ConfigError, DataError } from '../util/errors';
import { shuffle, uniform } from '../util/random';
import { countUnreadable, type DataRow, type PairRow, parseData } from './rows';
import type { Tokenizer } from './tokenizer';

export interface DataFile {
  name: string;
  /** The file's bytes, or its text. */
  content: string | Uint8Array<ArrayBuffer>;
}

export interface DatasetOptions {
  /** Rows in a batch (B). */
  batch: number;
  /** Tokens in a row (T). */
  seq: number;
  /** Tokens the model takes at most. */
  context: number;
  seed: number;
  /** Share held out for validation; 0 = none. Not used where a validation file is given. */
  holdout: number;
  /** At most so many validation batches (default 16), spread evenly over the held-out rows. */
  validationBatches?: number;
}

export interface Batch {
  /** [B, T] */
  input_ids: Uint32Array;
  /** [B, T]; [B] of classification. */
  labels: Int32Array;
  /** [B, T], of encoders: 0 = padding. */
  attention_mask?: Uint32Array | undefined;
  /** [B, T], of encoders: 1 = of the second text of a pair. */
  token_type_ids?: Uint32Array | undefined;
  /** Labels that carry loss; of causal language models not counting a row's first position. Weight means by it. */
  lossTokens: number;
}

/** One row as the model sees it. */
export interface TokenRow { tokens: string[]; /** true where the token carries loss */ loss: boolean[]; total: number; cut: number }

/** What a page shows of the data; the shape of the protocol's DataCard. */
export interface DataSummary {
  name: string;
  format: 'text' | 'rows';
  /** SHA-256 of the file, hex. */
  hash: string;
  /** Rows of at most T tokens, for text as well. */
  rows: number;
  tokens: number;
  trainRows: number;
  validationRows: number;
  cutRows: number;
  lengths: { width: number; counts: number[] };
  preview: TokenRow[];
  warnings: string[];
}

export interface Dataset {
  readonly summary: DataSummary;
  /** Hash of the validation file, where one was given. */
  readonly validationHash?: string;
  /** Tokens of the training rows as batches show them: after the cut, without padding. */
  readonly trainTokens: number;
  readonly validationTokens: number;
  /** Step counts from 0: step s holds the rows s·B … s·B + B - 1 of an endless sequence of reshuffled epochs. */
  batch(step: number): Batch;
  /** Fresh arrays at every call, always the same rows in the same order; rows that fill up the last batch have no loss. */
  validation(): Batch[];
}

/** Random streams of this file: which rows are held out, their order in an epoch, where an epoch's windows of text begin. */
const SPLIT_STREAM = 0x6461_0001;
export const ORDER_STREAM = 0x6461_0002;
const PHASE_STREAM = 0x6461_0003;
const IGNORED = -100;
const PREVIEW_ROWS = 5;

/** Tokens of a row, cut to T; loss from `lossFrom` to the end. */
interface Row { ids: ArrayLike<number>; lossFrom: number }
interface EncodedRow extends Row { line: number; total: number }
/** Training or held-out rows. Only windows of text depend on the epoch. */
interface Side { count: number; tokens: number; row(index: number, epoch: number): Row }

interface Source { format: 'text' | 'rows'; train: Side; validation: Side; summary: Omit<DataSummary, 'name' | 'format' | 'hash' | 'rows' | 'trainRows' | 'validationRows' | 'preview'> }

/** Holds a part of the file out: whole rows, chosen by seed, or the last part of a running text. */
export async function datasetFromFile(file: DataFile, tokenizer: Tokenizer, options: DatasetOptions): Promise<Dataset> {
  checkOptions(options);
  const { bytes, text } = bothForms(file);
  const { format, rows } = parseData(file.name, text);
  const source = format === 'text' ? splitText(file.name, rows[0].text, tokenizer, options) : splitRows(file.name, rows, tokenizer, options);
  source.summary.warnings.unshift(...unreadableWarning(text));
  return assemble(file.name, await sha256(bytes), source, tokenizer, options);
}

/** Takes the validation rows from a file of their own, of the same kind. */
export async function datasetFromSplit(train: DataFile, validation: DataFile, tokenizer: Tokenizer, options: DatasetOptions): Promise<Dataset> {
  checkOptions(options);
  const a = bothForms(train), b = bothForms(validation);
  const left = parseData(train.name, a.text), right = parseData(validation.name, b.text);
  let source: Source;
  if (left.format === 'text' && right.format === 'text') {
    source = pairOfTexts(train.name, left.rows[0].text, validation.name, right.rows[0].text, tokenizer, options);
  } else if (left.format === 'rows' && right.format === 'rows' && left.rows[0]?.kind === right.rows[0]?.kind) {
    source = pairOfRows(train.name, left.rows, validation.name, right.rows, tokenizer, options);
  } else {
    throw new DataError(`${validation.name}: another kind of data than ${train.name}: ${describe(right.rows)} against ${describe(left.rows)}`, 'Give both files the same form.');
  }
  source.summary.warnings.unshift(...unreadableWarning(a.text + b.text));
  const dataset = assemble(train.name, await sha256(a.bytes), source, tokenizer, options);
  return { ...dataset, validationHash: await sha256(b.bytes) };
}

export function checkOptions({ batch, seq, context, holdout }: DatasetOptions): void {
  if (!Number.isInteger(seq) || seq < 2) throw new ConfigError(`training.seq: a row needs at least 2 tokens: got ${seq}`, 'Give a whole number from 2.');
  if (seq > context) throw new ConfigError(`training.seq: rows longer than the model's context: ${seq} tokens, the model takes ${context}`, `Lower seq to ${context} or less.`);
  if (!Number.isInteger(batch) || batch < 1) throw new ConfigError(`training.batch: a batch needs at least 1 row: got ${batch}`, 'Give a whole number from 1.');
  if (!(holdout >= 0 && holdout <= 0.5)) throw new ConfigError(`holdout: not a share from 0 to 0.5: got ${holdout}`, 'Give a share such as 0.1.');
}

export function bothForms({ content }: DataFile): { bytes: Uint8Array<ArrayBuffer>; text: string } {
  return typeof content === 'string'
    ? { bytes: new TextEncoder().encode(content), text: content }
    : { bytes: content, text: new TextDecoder('utf-8', { ignoreBOM: true }).decode(content) };
}

export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function describe(rows: readonly DataRow[]): string {
  return rows[0]?.kind === 'pair' ? 'rows with "prompt" and "completion"' : rows.length === 1 ? 'a text' : 'rows with "text"';
}

function unreadableWarning(text: string): string[] {
  const unreadable = countUnreadable(text);
  return unreadable === 0 ? [] : [`${plural(unreadable, 'character')} could not be read as UTF-8 and will be learned as the sign “\ufffd”.`];
}

export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

// ---- running text ----

function encodeText(text: string, { bos, eos, encode }: Tokenizer): Uint32Array {
  const ids = encode(text, { addSpecial: false });
  return Uint32Array.from([...(bos === null ? [] : [bos]), ...ids, ...(eos === null ? [] : [eos])]);
}

/** Windows of T tokens. With `moving`, each epoch's grid starts at another offset, so that no token is always a row's first. */
function windows(ids: Uint32Array, seq: number, moving?: { seed: number }): Side {
  const whole = Math.floor(ids.length / seq);
  // A moving grid gives up one window for its freedom; the count must be the same in every epoch.
  const count = moving ? Math.max(1, whole - 1) : whole;
  const phases = Math.min(seq, ids.length - count * seq + 1);
  return {
    count,
    tokens: count * seq,
    row(index, epoch) {
      const phase = moving ? Math.floor(uniform(moving.seed, PHASE_STREAM, epoch) * phases) : 0;
      const start = phase + index * seq;
      return { ids: ids.subarray(start, start + seq), lossFrom: 0 };
    },
  };
}

function textSource(ids: { train: Uint32Array; validation: Uint32Array }, tokenizer: Tokenizer, { seq, seed, batch }: DatasetOptions): Source {
  const train = windows(ids.train, seq, { seed }), validation = windows(ids.validation, seq);
  return {
    format: 'text',
    train,
    validation,
    summary: {
      tokens: ids.train.length + ids.validation.length,
      cutRows: 0,
      lengths: { width: seq, counts: [0, train.count + validation.count] },
      warnings: [...fewRowsWarning(train.count, batch), ...endWarning(tokenizer)],
    },
  };
}

function splitText(name: string, text: string, tokenizer: Tokenizer, options: DatasetOptions): Source {
  const { seq, holdout } = options;
  const ids = encodeText(text, tokenizer);
  const whole = Math.floor(ids.length / seq);
  if (whole < (holdout > 0 ? 2 : 1)) throw tooShort(name, ids.length, seq, holdout > 0);
  // The held-out part is the end of the text, in one piece: no window of it overlaps a training window.
  const held = holdout > 0 ? Math.min(whole - 1, Math.max(1, Math.round((holdout * ids.length) / seq))) : 0;
  const boundary = ids.length - held * seq;
  return textSource({ train: ids.subarray(0, boundary), validation: ids.subarray(boundary) }, tokenizer, options);
}

function pairOfTexts(trainName: string, train: string, validationName: string, validation: string, tokenizer: Tokenizer, options: DatasetOptions): Source {
  const ids = { train: encodeText(train, tokenizer), validation: encodeText(validation, tokenizer) };
  if (ids.train.length < options.seq) throw tooShort(trainName, ids.train.length, options.seq, false);
  if (ids.validation.length < options.seq) throw tooShort(validationName, ids.validation.length, options.seq, false);
  return textSource(ids, tokenizer, options);
}

function tooShort(name: string, tokens: number, seq: number, held: boolean): DataError {
  const rows = held ? 'one training row and one held-out row' : 'one row';
  const largest = Math.floor(tokens / (held ? 2 : 1));
  const lower = largest >= 2 ? `, or lower the row length (seq) to ${largest} or less` : '';
  return new DataError(`${name}: too short: ${plural(tokens, 'token')}, ${rows} of ${seq} tokens want ${seq * (held ? 2 : 1)}`, `Add text${lower}.`);
}

// ---- rows ----

function encodeRow(name: string, row: DataRow, tokenizer: Tokenizer, seq: number): EncodedRow {
  const { ids, lossFrom } = row.kind === 'text' ? { ids: [...encodeText(row.text, tokenizer)], lossFrom: 0 } : encodePair(row, tokenizer);
  const kept = ids.slice(0, seq);
  // The first token of a row is never predicted.
  if (kept.length <= Math.max(1, lossFrom)) {
    throw lossFrom >= seq
      ? new DataError(`${name}: line ${row.line}: nothing left to learn: the prompt alone has ${lossFrom} tokens, a row has ${seq}`, `Raise the row length (seq) above ${lossFrom}, or shorten the prompt.`)
      : new DataError(`${name}: line ${row.line}: nothing to learn: the row has ${plural(ids.length, 'token')}, and the first is never predicted`, 'Write more text into the row, or remove it.');
  }
  return { line: row.line, ids: Uint32Array.from(kept), lossFrom, total: ids.length };
}

function encodePair({ prompt, completion }: PairRow, tokenizer: Tokenizer): { ids: number[]; lossFrom: number } {
  const { bos, eos } = tokenizer;
  const encode = (text: string) => tokenizer.encode(text, { addSpecial: false });
  const asked = { role: 'user', content: prompt } as const;
  const head = tokenizer.chat([asked], { addGenerationPrompt: true });
  if (head === null) {
    const start = [...(bos === null ? [] : [bos]), ...encode(prompt)];
    return { ids: [...start, ...encode(completion), ...(eos === null ? [] : [eos])], lossFrom: start.length };
  }
  const start = encode(head);
  const whole = tokenizer.chat([asked, { role: 'assistant', content: completion }]);
  let ids = encode(whole ?? '');
  // A template may render a finished answer unlike an open one, and a merge may cross the border; then the answer is appended.
  if (start.some((id, i) => ids[i] !== id)) ids = [...start, ...encode(completion)];
  // What a template writes after the closing token (a line break) is not for the model to say.
  const closing = eos === null ? -1 : ids.lastIndexOf(eos);
  if (closing >= start.length) ids.length = closing + 1;
  else if (eos !== null) ids.push(eos);
  return { ids, lossFrom: start.length };
}

const contentOf = (row: DataRow) => JSON.stringify(row.kind === 'text' ? [row.text] : [row.prompt, row.completion]);

/** Indices of the rows that are held out, by seed; rows with equal keys go to one side together, so that none was trained on. */
export function heldOut(name: string, keys: readonly string[], { holdout, seed }: Pick<DatasetOptions, 'holdout' | 'seed'>): Set<number> {
  const held = new Set<number>();
  if (holdout === 0) return held;
  const groups = groupEqual(keys);
  if (groups.length < 2) {
    throw new DataError(`${name}: too few rows: ${keys.length === 1 ? 'one row' : `${keys.length} rows, all equal`}, training and validation want a different one each`, 'Add rows, or set the held-out share to 0.');
  }
  const wanted = Math.max(1, Math.round(holdout * keys.length));
  for (const g of shuffle(groups.length, seed, SPLIT_STREAM)) {
    const group = groups[g] as number[];
    if (held.size + group.length <= wanted) for (const index of group) held.add(index);
  }
  if (held.size === 0) {
    const smallest = groups.reduce((a, b) => (b.length < a.length ? b : a));
    for (const index of smallest) held.add(index);
  }
  return held;
}

function splitRows(name: string, rows: readonly DataRow[], tokenizer: Tokenizer, options: DatasetOptions): Source {
  const encoded = rows.map((row) => encodeRow(name, row, tokenizer, options.seq));
  const keys = rows.map(contentOf);
  const held = heldOut(name, keys, options);
  const groups = groupEqual(keys);
  const train = encoded.filter((_, i) => !held.has(i)), validation = encoded.filter((_, i) => held.has(i));
  const repeated = rows.length - groups.length;
  const notes = repeated === 0 ? [] : [`${repeated} of ${plural(rows.length, 'row')} repeat an earlier row word for word; equal rows are kept on one side of the split.`];
  return rowSource(train, validation, rows, notes, tokenizer, options);
}

function pairOfRows(trainName: string, trainRows: readonly DataRow[], validationName: string, validationRows: readonly DataRow[], tokenizer: Tokenizer, options: DatasetOptions): Source {
  const known = new Set(trainRows.map(contentOf));
  const leaked = validationRows.filter((row) => known.has(contentOf(row))).length;
  const notes = leaked === 0 ? [] : [`${leaked} of ${plural(validationRows.length, 'validation row')} also ${leaked === 1 ? 'stands' : 'stand'} in ${trainName}: the validation loss will look better than it is.`];
  return rowSource(
    trainRows.map((row) => encodeRow(trainName, row, tokenizer, options.seq)),
    validationRows.map((row) => encodeRow(validationName, row, tokenizer, options.seq)),
    [...trainRows, ...validationRows], notes, tokenizer, options,
  );
}

/** Indices of equal keys, in their order. */
function groupEqual(keys: readonly string[]): number[][] {
  const groups = new Map<string, number[]>();
  keys.forEach((key, i) => {
    const group = groups.get(key);
    if (group) group.push(i);
    else groups.set(key, [i]);
  });
  return [...groups.values()];
}

function rowSource(train: EncodedRow[], validation: EncodedRow[], rows: readonly DataRow[], notes: string[], tokenizer: Tokenizer, { seq, batch }: DatasetOptions): Source {
  const all = [...train, ...validation];
  const side = (list: EncodedRow[]): Side => ({
    count: list.length,
    tokens: list.reduce((sum, row) => sum + row.ids.length, 0),
    row: (index) => list[index] as EncodedRow,
  });
  return {
    format: 'rows',
    train: side(train),
    validation: side(validation),
    summary: {
      tokens: all.reduce((sum, row) => sum + row.total, 0),
      cutRows: all.filter((row) => row.total > seq).length,
      lengths: histogram(all.map((row) => row.total)),
      warnings: [...notes, ...lengthWarnings(all, seq), ...fewRowsWarning(train.length, batch), ...joinWarnings(rows, tokenizer), ...endWarning(tokenizer)],
    },
  };
}

/** Bins of a power of two, at most 32 of them. */
export function histogram(lengths: number[]): { width: number; counts: number[] } {
  const longest = lengths.reduce((a, b) => Math.max(a, b), 0);
  let width = 1;
  while (longest >= 32 * width) width *= 2;
  const counts = new Array<number>(Math.floor(longest / width) + 1).fill(0);
  for (const length of lengths) {
    const bin = Math.floor(length / width);
    counts[bin] = (counts[bin] ?? 0) + 1;
  }
  return { width, counts };
}

function lengthWarnings(rows: EncodedRow[], seq: number): string[] {
  const warnings: string[] = [];
  const lengths = rows.map((row) => row.total).sort((a, b) => a - b);
  const cut = lengths.filter((length) => length > seq).length;
  if (cut > 0) {
    warnings.push(`${cut} of ${plural(rows.length, 'row')} ${cut === 1 ? 'is' : 'are'} longer than ${seq} tokens and will be cut at the end; the longest has ${lengths.at(-1)}. Raise the row length (seq) to keep them whole.`);
  }
  const padding = 1 - rows.reduce((sum, row) => sum + row.ids.length, 0) / (rows.length * seq);
  // Kernels like row lengths that are multiples of 8.
  const enough = Math.ceil((lengths[Math.ceil(0.95 * lengths.length) - 1] ?? seq) / 8) * 8;
  if (padding > 0.5 && enough < seq) {
    warnings.push(`${Math.round(100 * padding)} % of the positions in a batch are padding: a row length (seq) of ${enough} would hold 95 % of the rows whole and train faster.`);
  }
  return warnings;
}

function fewRowsWarning(trainRows: number, batch: number): string[] {
  if (trainRows < batch) return [`There ${trainRows === 1 ? 'is' : 'are'} only ${plural(trainRows, 'training row')} for batches of ${batch}: a batch shows a row more than once.`];
  return trainRows < 20 ? [`There are only ${plural(trainRows, 'training row')}: expect the model to learn them by heart.`] : [];
}

function joinWarnings(rows: readonly DataRow[], tokenizer: Tokenizer): string[] {
  const pairs = rows.filter((row) => row.kind === 'pair');
  if (pairs.length === 0 || tokenizer.hasChat) return [];
  const glued = pairs.filter(({ prompt, completion }) => prompt !== '' && !/\s$/.test(prompt) && !/^\s/.test(completion)).length;
  const where = glued === 0 ? '' : ` In ${glued} of ${plural(pairs.length, 'row')} nothing separates the two: end the prompt with a space or a line break.`;
  return [`This model has no chat template, so prompt and completion are joined as they stand.${where}`];
}

function endWarning({ eos }: Tokenizer): string[] {
  return eos === null ? ['The tokenizer has no end-of-text token, so the model does not learn where to stop.'] : [];
}

// ---- batches ----

function assemble(name: string, hash: string, source: Source, tokenizer: Tokenizer, options: DatasetOptions): Dataset {
  const { batch: size, seq, seed } = options;
  const { format, train, validation } = source;
  const collate = (rows: Row[]) => collateRows(rows, size, seq, tokenizer.pad);
  let shuffled: { epoch: number; order: Uint32Array } | undefined;
  const orderOf = (epoch: number): Uint32Array => {
    if (shuffled?.epoch !== epoch) shuffled = { epoch, order: shuffle(train.count, seed, ORDER_STREAM, epoch * train.count) };
    return shuffled.order;
  };
  const preview = (row: Row): TokenRow => {
    const ids = Array.from(row.ids), total = 'total' in row ? (row as EncodedRow).total : ids.length;
    return { tokens: tokenizer.pieces(ids), loss: ids.map((_, i) => i > 0 && i >= row.lossFrom), total, cut: total - ids.length };
  };
  return {
    summary: {
      name,
      format,
      hash,
      rows: train.count + validation.count,
      trainRows: train.count,
      validationRows: validation.count,
      preview: Array.from({ length: Math.min(PREVIEW_ROWS, train.count) }, (_, i) => preview(train.row(i, 0))),
      ...source.summary,
    },
    trainTokens: train.tokens,
    validationTokens: validation.tokens,
    batch(step) {
      return collate(Array.from({ length: size }, (_, b) => {
        const index = step * size + b, epoch = Math.floor(index / train.count);
        return train.row(orderOf(epoch)[index % train.count] as number, epoch);
      }));
    },
    validation() {
      const chosen = Math.min(validation.count, (options.validationBatches ?? 16) * size);
      const rows = Array.from({ length: chosen }, (_, i) => validation.row(Math.floor((i * validation.count) / chosen), 0));
      return Array.from({ length: Math.ceil(chosen / size) }, (_, i) => collate(rows.slice(i * size, (i + 1) * size)));
    },
  };
}

/** Right-padded; places without a row are all padding. */
function collateRows(rows: Row[], size: number, seq: number, pad: number): Batch {
  const input_ids = new Uint32Array(size * seq).fill(pad);
  const labels = new Int32Array(size * seq).fill(IGNORED);
  let lossTokens = 0;
  rows.forEach(({ ids, lossFrom }, b) => {
    input_ids.set(ids, b * seq);
    for (let t = lossFrom; t < ids.length; t++) labels[b * seq + t] = ids[t] as number;
    lossTokens += ids.length - Math.max(1, lossFrom);
  });
  return { input_ids, labels, lossTokens };
}
