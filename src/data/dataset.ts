// Training batches and held-out batches from a data file. A batch is a pure function of (data, options, step), so a run
// resumes at any step without replay. Labels are not shifted (the model shifts inside); -100 marks a token without loss.
// Two stages: `prepare` reads and tokenises, which takes long and depends on the file and the tokenizer alone; `arrange` cuts,
// splits, packs and counts, which is quick.
import { ConfigError, DataError } from '../util/errors';
import type { Watch } from '../util/pace';
import { shuffle, uniform } from '../util/random';
import { cutSpans, type EncodedRow, encodeRows, encodeText, type Spans, spanTokens } from './encode';
import { NEAR, nearPairs, sign, type Signed } from './near';
import { pack } from './pack';
import { type Columns, contentKey, type DataForm, type DataRow, describeForm, type ParsedData, parseRows, plainText } from './rows';
import { type Cells, type DataFile, kindOf, readTable } from './table';
import type { Tokenizer } from './tokenizer';

export type { DataFile } from './table';

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
  /** Share kept for a test at the end, apart from training and validation; default 0. */
  test?: number;
  /** Several short training rows in one; held-out rows stay as they are, so that losses compare. */
  pack?: boolean;
  /** At most so many validation batches (default 16), spread evenly over the held-out rows. */
  validationBatches?: number;
}

export interface Batch {
  /** [B, T]; [2 B, T] of pairs of texts, the first ones before the second ones. */
  input_ids: Uint32Array;
  /** [B, T]; of words the number of the tag at their first tokens. [B] of classification, and of pairs the number of the second text. */
  labels: Int32Array;
  /** [B, T], of encoders: 0 = padding. */
  attention_mask?: Uint32Array | undefined;
  /** [B, T], of encoders: 1 = of the second text of a pair. */
  token_type_ids?: Uint32Array | undefined;
  /** [B, channels, size, size], of models that read pictures. */
  pixel_values?: Float32Array | undefined;
  /** [texts], of models that read texts beside pictures: where they are read, among texts · T. */
  text_ends?: Uint32Array | undefined;
  /** [B], of pairs of texts: how much they belong together, NaN where nothing says so. */
  scores?: Float32Array | undefined;
  /** Labels that carry loss; of causal language models not counting a row's first position. Weight means by it. */
  lossTokens: number;
}

/** One row as the model sees it. */
export interface TokenRow { tokens: string[]; /** true where the token carries loss */ loss: boolean[]; total: number; cut: number }

/** What a page shows of the data; the shape of the protocol's DataCard. */
export interface DataSummary {
  name: string;
  format: 'text' | 'rows' | 'pictures';
  form: DataForm | 'picture-label' | 'picture-caption' | 'text-pair' | 'tagged-words';
  /** SHA-256 of the file, hex. */
  hash: string;
  /** SHA-256 of every token, its loss and its side of the split: equal on the page and on the command line. */
  tokensHash: string;
  /** All columns of the file, the ones that are used, and the first rows of it. */
  columns: string[];
  used: Columns;
  cells: string[][];
  /** Rows of at most T tokens, for text as well. */
  rows: number;
  tokens: number;
  trainRows: number;
  validationRows: number;
  testRows: number;
  cutRows: number;
  /** Tokens beyond the row length, which are not trained on. */
  cutTokens: number;
  /** Training rows as they are and packed, and the share of their positions that is padding. */
  packing: { on: boolean; rows: number; packedRows: number; padding: number; packedPadding: number };
  /** Rows of each class by side, largest first; null where there are none. */
  classes: { label: string; train: number; validation: number; test: number }[] | null;
  /** Held-out rows that nearly repeat a training row: how many, and the nearest few. */
  near: { count: number; examples: { held: string; train: string; similarity: number }[] };
  lengths: { width: number; counts: number[] };
  preview: TokenRow[];
  /** Of pictures: what the model reads, and some of the training and of the held-out pictures as it sees them, the latter with their rows. */
  pictures?: { size: number; channels: number; preview: (ShownRow & { label?: string })[]; held: (ShownRow & { label?: string; row: number })[] };
  warnings: string[];
}

/** What a run needs of its data. */
export interface Dataset {
  readonly summary: Partial<DataSummary> & Pick<DataSummary, 'format' | 'hash'>;
  /** Tokens of the training rows as batches show them: after the cut, without padding. */
  readonly trainTokens: number;
  readonly validationTokens: number;
  /** Step counts from 0: step s holds the rows s·B … s·B + B - 1 of an endless sequence of reshuffled epochs. */
  batch(step: number): Batch;
  /** Fresh arrays at every call, always the same rows in the same order; rows that fill up the last batch have no loss. */
  validation(): Batch[];
  /** What stands in row `row` of the held-out batches. */
  shown?(row: number): ShownRow;
}

/** A row as people see it: its text, or two, its words, or its picture [rgba] and the name of its file. */
export interface ShownRow { name?: string; text?: string; second?: string; words?: string[]; picture?: { width: number; height: number; rgba: Uint8ClampedArray<ArrayBuffer> } }

export interface FileDataset extends Dataset {
  readonly summary: DataSummary;
  /** Hash of the validation file, where one was given. */
  readonly validationHash?: string;
  /** All rows kept for the test. */
  test(): Batch[];
}

/** A file read and turned into tokens. */
export interface Prepared {
  readonly name: string;
  readonly hash: string;
  readonly parsed: ParsedData;
  readonly cells: readonly (readonly string[])[];
  /** Of a running text. */
  readonly text: Uint32Array | null;
  /** Of rows: tokens, and the words by which near duplicates are found. */
  readonly rows: readonly EncodedRow[];
  readonly signed: readonly Signed[];
}

/** Random streams of this file: which rows are held out, their order in an epoch, where an epoch's windows of text begin. */
const SPLIT_STREAM = 0x6461_0001;
export const ORDER_STREAM = 0x6461_0002;
const PHASE_STREAM = 0x6461_0003;
const IGNORED = -100;
const PREVIEW_ROWS = 5;
export const NEAR_EXAMPLES = 3;
/** Up to this share of rows may have nothing left to learn and be left out; beyond it, something is wrong with the settings. */
export const SPARE_SHARE = 0.01;

export async function prepare(file: DataFile, tokenizer: Tokenizer, columns: Columns = {}, watch: Watch = {}): Promise<Prepared> {
  const { name } = file;
  const bytes = typeof file.content === 'string' ? new TextEncoder().encode(file.content) : file.content;
  const table = await readTable(file, { signal: watch.signal });
  const parsed = parseRows(name, table, columns);
  const hash = await sha256(bytes);
  const cells = table.kind === 'table' ? table.rows.slice(0, PREVIEW_ROWS).map((row) => table.columns.map((column) => cellText(row, column))) : [];
  if (parsed.format === 'text') return { name, hash, parsed, cells, text: await encodeText(parsed.rows[0].text, tokenizer, watch), rows: [], signed: [] };
  const rows = await encodeRows(name, parsed.rows, tokenizer, watch);
  return { name, hash, parsed, cells, text: null, rows, signed: parsed.rows.map((row) => sign(plainText(row))) };
}

function cellText(row: Cells, column: string): string {
  const value = row[column];
  if (typeof value === 'string') return value.slice(0, 200);
  return typeof value === 'object' && value !== null ? (JSON.stringify(value, (_, inner) => (typeof inner === 'bigint' ? String(inner) : inner)) ?? '').slice(0, 200) : value === undefined ? '' : kindOf(value);
}

/** Holds a part of the file out: whole rows, chosen by seed, or the last part of a running text. */
export async function datasetFromFile(file: DataFile, tokenizer: Tokenizer, options: DatasetOptions, columns: Columns = {}, watch: Watch = {}): Promise<FileDataset> {
  checkOptions(options);
  return arrange(await prepare(file, tokenizer, columns, watch), tokenizer, options);
}

export async function arrange(prepared: Prepared, tokenizer: Tokenizer, options: DatasetOptions): Promise<FileDataset> {
  checkOptions(options);
  const source = prepared.text ? splitText(prepared.name, prepared.text, options) : splitRows(prepared, tokenizer, options);
  return assemble(prepared, [prepared], source, tokenizer, options);
}

/** Takes the validation rows from a file of their own, of the same kind. */
export async function datasetFromSplit(train: DataFile, validation: DataFile, tokenizer: Tokenizer, options: DatasetOptions, columns: Columns = {}): Promise<FileDataset> {
  checkOptions(options);
  const left = await prepare(train, tokenizer, columns), right = train === validation ? left : await prepare(validation, tokenizer, columns);
  if (left.parsed.format !== right.parsed.format || left.parsed.form !== right.parsed.form) {
    const kind = ({ parsed }: Prepared) => describeForm(parsed, parsed.format);
    throw new DataError(`${validation.name}: another kind of data than ${train.name}: ${kind(right)} against ${kind(left)}`, 'Give both files the same form.');
  }
  const source = left.text && right.text ? pairOfTexts(left, right, options) : pairOfRows(left, right, tokenizer, options);
  const dataset = await assemble(left, [left, right], source, tokenizer, options);
  return { ...dataset, validationHash: right.hash };
}

export function checkOptions({ batch, seq, context, holdout, test = 0 }: DatasetOptions): void {
  if (!Number.isInteger(seq) || seq < 2) throw new ConfigError(`training.seq: a row needs at least 2 tokens: got ${seq}`, 'Give a whole number from 2.');
  if (seq > context) throw new ConfigError(`training.seq: rows longer than the model's context: ${seq} tokens, the model takes ${context}`, `Lower seq to ${context} or less.`);
  if (!Number.isInteger(batch) || batch < 1) throw new ConfigError(`training.batch: a batch needs at least 1 row: got ${batch}`, 'Give a whole number from 1.');
  for (const [name, share] of [['holdout', holdout], ['test', test]] as const) {
    if (!(share >= 0 && share <= 0.5)) throw new ConfigError(`${name}: not a share from 0 to 0.5: got ${share}`, 'Give a share such as 0.1.');
  }
}

export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

// ---- sides ----

/** Tokens of a row, cut to T, with the spans that carry loss. */
interface Row { ids: ArrayLike<number>; spans: Spans; total: number }
/** Training or held-out rows. Only windows of text depend on the epoch. */
interface Side { count: number; tokens: number; row(index: number, epoch: number): Row }
type Facts = Pick<DataSummary, 'tokens' | 'cutRows' | 'cutTokens' | 'lengths' | 'warnings' | 'packing' | 'classes' | 'near' | 'trainRows'>;
interface Source { train: Side; validation: Side; test: Side; facts: Facts }

const listSide = (rows: readonly Row[]): Side => ({
  count: rows.length,
  tokens: rows.reduce((sum, row) => sum + row.ids.length, 0),
  row: (index) => rows[index] as Row,
});

// ---- running text ----

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
      return { ids: ids.subarray(start, start + seq), spans: [[0, seq]], total: seq };
    },
  };
}

function textSource(ids: { train: Uint32Array; validation: Uint32Array; test: Uint32Array }, { seq, seed, batch }: DatasetOptions): Source {
  const train = windows(ids.train, seq, { seed }), validation = windows(ids.validation, seq), test = windows(ids.test, seq);
  return {
    train, validation, test,
    facts: {
      tokens: ids.train.length + ids.validation.length + ids.test.length,
      trainRows: train.count,
      cutRows: 0,
      cutTokens: 0,
      lengths: { width: seq, counts: [0, train.count + validation.count + test.count] },
      packing: { on: false, rows: train.count, packedRows: train.count, padding: 0, packedPadding: 0 },
      classes: null,
      near: { count: 0, examples: [] },
      warnings: fewRowsWarning(train.count, batch),
    },
  };
}

function splitText(name: string, ids: Uint32Array, options: DatasetOptions): Source {
  const { seq, holdout, test = 0 } = options;
  const whole = Math.floor(ids.length / seq);
  const sides = 1 + Number(holdout > 0) + Number(test > 0);
  if (whole < sides) throw tooShort(name, ids.length, seq, sides);
  // The held-out parts are the end of the text, each in one piece: no window of them overlaps a training window.
  const share = (part: number, others: number) => (part > 0 ? Math.min(whole - 1 - others, Math.max(1, Math.round((part * ids.length) / seq))) : 0);
  const held = share(holdout, Number(test > 0));
  const tested = share(test, held);
  const boundary = ids.length - (held + tested) * seq;
  return textSource({ train: ids.subarray(0, boundary), validation: ids.subarray(boundary, boundary + held * seq), test: ids.subarray(boundary + held * seq) }, options);
}

function pairOfTexts(train: Prepared, validation: Prepared, options: DatasetOptions): Source {
  for (const { name, text } of [train, validation]) if ((text as Uint32Array).length < options.seq) throw tooShort(name, (text as Uint32Array).length, options.seq, 1);
  return textSource({ train: train.text as Uint32Array, validation: validation.text as Uint32Array, test: new Uint32Array() }, options);
}

function tooShort(name: string, tokens: number, seq: number, sides: number): DataError {
  const rows = ['one row', 'one training row and one held-out row', 'one row each for training, validation and test'][sides - 1];
  const largest = Math.floor(tokens / sides);
  const lower = largest >= 2 ? `, or lower the row length (seq) to ${largest} or less` : '';
  return new DataError(`${name}: too short: ${plural(tokens, 'token')}, ${rows} of ${seq} tokens want ${seq * sides}`, `Add text${lower}.`);
}

// ---- rows ----

/** A row that is used, with what it was made from. */
interface Kept extends Row { raw: DataRow; signed: Signed }

/** Cuts every row to T tokens; rows with nothing left to learn are left out, as long as they are few. */
function cutRows({ name, rows, parsed, signed }: Prepared, seq: number): { kept: Kept[]; spare: DataError[] } {
  const spare: DataError[] = [];
  const kept: Kept[] = [];
  rows.forEach(({ place, ids, spans }, i) => {
    const cut = cutSpans(spans, seq);
    if (spanTokens(cut) === 0) {
      const first = spans[0]?.[0] ?? 0;
      spare.push(first >= seq
        ? new DataError(`${name}: ${place}: nothing left to learn: the prompt alone has ${first} tokens, a row has ${seq}`, `Raise the row length (seq) above ${first}, or shorten the prompt.`)
        : new DataError(`${name}: ${place}: nothing to learn: the row has ${plural(ids.length, 'token')}, and the first is never predicted`, 'Write more text into the row, or remove it.'));
    } else {
      kept.push({ ids: ids.subarray(0, seq), spans: cut, total: ids.length, raw: parsed.rows[i] as DataRow, signed: signed[i] as Signed });
    }
  });
  if (spare.length > SPARE_SHARE * rows.length) throw spare[0] as DataError;
  return { kept, spare };
}

/** What was found last time for a file. */
const nearKnown = new WeakMap<Prepared, { key: string; near: DataSummary['near'] }>();

/** The side of each row, 0 training, 1 validation, 2 test; rows with equal keys go to one side together, so that no held-out row was trained on. */
export function sidesOf(name: string, keys: readonly string[], { holdout, test = 0, seed }: Pick<DatasetOptions, 'holdout' | 'test' | 'seed'>): Uint8Array {
  const side = new Uint8Array(keys.length);
  const groups = groupEqual(keys);
  const parts = [[holdout, 1], [test, 2]].filter(([share]) => (share as number) > 0) as [number, number][];
  if (groups.length < 1 + parts.length) {
    const rows = keys.length === 1 ? 'one row' : groups.length === 1 ? `${keys.length} rows, all equal` : `${groups.length} different rows`;
    throw new DataError(`${name}: too few rows: ${rows}, ${parts.length === 2 ? 'training, validation and test' : 'training and validation'} want a different one each`, 'Add rows, or set the held-out share to 0.');
  }
  // The test takes what validation leaves, so that setting a test aside moves no row out of the validation.
  const order = [...shuffle(groups.length, seed, SPLIT_STREAM)].map((g) => groups[g] as number[]);
  const taken = new Set<number[]>();
  for (const [share, mark] of parts) {
    const wanted = Math.max(1, Math.round(share * keys.length));
    let size = 0;
    const take = (group: number[]) => {
      for (const index of group) side[index] = mark;
      size += group.length;
      taken.add(group);
    };
    for (const group of order) if (!taken.has(group) && size + group.length <= wanted) take(group);
    if (size === 0) take(order.filter((group) => !taken.has(group)).reduce((a, b) => (b.length < a.length ? b : a)));
  }
  return side;
}

function splitRows(prepared: Prepared, tokenizer: Tokenizer, options: DatasetOptions): Source {
  const { holdout, test = 0, seed } = options;
  const { kept, spare } = cutRows(prepared, options.seq);
  const keys = kept.map(({ raw }) => contentKey(raw));
  const side = sidesOf(prepared.name, keys, options);
  const repeated = kept.length - new Set(keys).size;
  const notes = repeated === 0 ? [] : [`${repeated} of ${plural(kept.length, 'row')} repeat an earlier row word for word; equal rows are kept on one side of the split.`];
  const part = (mark: number) => kept.filter((_, i) => side[i] === mark);
  const [train, validation, tests] = [part(0), part(1), part(2)];
  // The comparison of the sides takes longest, and a row length or a batch changes nothing about it.
  const key = JSON.stringify([seed, holdout, test, kept.length]);
  const before = nearKnown.get(prepared);
  const near = before?.key === key ? before.near : nearOf([...validation, ...tests], train);
  nearKnown.set(prepared, { key, near });
  return rowSource(train, validation, tests, near, spare, notes, tokenizer, options);
}

function pairOfRows(left: Prepared, right: Prepared, tokenizer: Tokenizer, options: DatasetOptions): Source {
  const train = cutRows(left, options.seq), validation = cutRows(right, options.seq);
  const known = new Set(train.kept.map(({ raw }) => contentKey(raw)));
  const leaked = left === right ? 0 : validation.kept.filter(({ raw }) => known.has(contentKey(raw))).length;
  const notes = leaked === 0 ? [] : [`${leaked} of ${plural(validation.kept.length, 'validation row')} also ${leaked === 1 ? 'stands' : 'stand'} in ${left.name}: the validation loss will look better than it is.`];
  const near = left === right ? { count: 0, examples: [] } : nearOf(validation.kept, train.kept);
  return rowSource(train.kept, validation.kept, [], near, [...train.spare, ...validation.spare], notes, tokenizer, options);
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

function rowSource(train: Kept[], validation: Kept[], test: Kept[], near: DataSummary['near'], spare: DataError[], notes: string[], tokenizer: Tokenizer, { seq, batch, pack: packed = false }: DatasetOptions): Source {
  const all = [...train, ...validation, ...test];
  const bins = pack(train.map((row) => row.ids.length), seq);
  const tokens = train.reduce((sum, row) => sum + row.ids.length, 0);
  const padding = (rows: number) => (rows === 0 ? 0 : 1 - tokens / (rows * seq));
  const packing = { on: packed, rows: train.length, packedRows: bins.length, padding: padding(train.length), packedPadding: padding(bins.length) };
  const used = packed ? bins.map((bin) => joinRows(bin.map((i) => train[i] as Kept))) : train;
  const classes = classesOf(train, validation, test);
  return {
    train: listSide(used),
    validation: listSide(validation),
    test: listSide(test),
    facts: {
      tokens: all.reduce((sum, row) => sum + row.total, 0),
      trainRows: train.length,
      cutRows: all.filter((row) => row.total > seq).length,
      cutTokens: all.reduce((sum, row) => sum + Math.max(0, row.total - seq), 0),
      lengths: histogram(all.map((row) => row.total)),
      packing, classes, near,
      warnings: [
        ...spareWarning(spare, all.length), ...notes, ...nearWarning(near.count, validation.length + test.length), ...lengthWarnings(all, seq, packed), ...classWarnings(classes),
        ...fewRowsWarning(used.length, batch, train.length), ...joinWarnings(all, tokenizer),
      ],
    },
  };
}

/** Rows one after the other in one; each row's own first token stays without loss. */
function joinRows(rows: readonly Kept[]): Row {
  const ids = new Uint32Array(rows.reduce((sum, row) => sum + row.ids.length, 0));
  const spans: [number, number][] = [];
  let at = 0;
  for (const row of rows) {
    ids.set(row.ids, at);
    for (const [from, to] of row.spans) spans.push([at + from, at + to]);
    at += row.ids.length;
  }
  return { ids, spans, total: ids.length };
}

/** Held-out rows that nearly repeat a training row. */
export function nearOf(held: readonly { signed: Signed }[], train: readonly { signed: Signed }[]): DataSummary['near'] {
  const pairs = nearPairs(held.map((row) => row.signed), train.map((row) => row.signed));
  const short = (row: { signed: Signed } | undefined) => row?.signed.text.replace(/\s+/g, ' ').slice(0, 160) ?? '';
  const examples = [...pairs].sort((a, b) => b.similarity - a.similarity).slice(0, NEAR_EXAMPLES);
  return { count: pairs.length, examples: examples.map((pair) => ({ held: short(held[pair.held]), train: short(train[pair.train]), similarity: pair.similarity })) };
}

function classesOf(train: readonly Kept[], validation: readonly Kept[], test: readonly Kept[]): DataSummary['classes'] {
  const counts = new Map<string, { label: string; train: number; validation: number; test: number }>();
  for (const [part, rows] of [['train', train], ['validation', validation], ['test', test]] as const) {
    for (const { raw } of rows) {
      if (raw.kind !== 'label') return null;
      const entry = counts.get(raw.label) ?? { label: raw.label, train: 0, validation: 0, test: 0 };
      entry[part]++;
      counts.set(raw.label, entry);
    }
  }
  return [...counts.values()].sort((a, b) => b.train - a.train || (a.label < b.label ? -1 : 1));
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

// ---- what is worth knowing ----

function commonWarnings(prepared: readonly Prepared[], { eos }: Tokenizer): { first: string[]; last: string[] } {
  const sum = (count: (parsed: ParsedData) => number) => prepared.reduce((total, { parsed }) => total + count(parsed), 0);
  const unreadable = sum(({ unreadable }) => unreadable), blank = prepared.reduce((total, { parsed }) => total + parsed.leftOut, 0);
  return {
    first: [
      ...(unreadable === 0 ? [] : [`${plural(unreadable, 'character')} could not be read as UTF-8 and will be learned as the sign “\ufffd”.`]),
      ...(blank === 0 ? [] : [`${plural(blank, 'row')} without content ${blank === 1 ? 'is' : 'are'} left out.`]),
    ],
    last: eos === null ? ['The tokenizer has no end-of-text token, so the model does not learn where to stop.'] : [],
  };
}

function spareWarning(spare: readonly DataError[], rows: number): string[] {
  if (spare.length === 0) return [];
  return [`${spare.length} of ${plural(rows + spare.length, 'row')} ${spare.length === 1 ? 'has' : 'have'} nothing left to learn and ${spare.length === 1 ? 'is' : 'are'} left out; the first: ${spare[0]?.message}.`];
}

function nearWarning(count: number, held: number): string[] {
  if (count === 0) return [];
  return [`${count} of ${plural(held, 'held-out row')} nearly ${count === 1 ? 'repeats' : 'repeat'} a training row (${100 * NEAR} % or more of ${count === 1 ? 'its' : 'their'} phrases in common): the validation loss will look better than it is.`];
}

function classWarnings(classes: DataSummary['classes']): string[] {
  if (!classes) return [];
  if (classes.length === 1) return [`Every row has the same label, ${JSON.stringify(classes[0]?.label)}: there is nothing to tell apart.`];
  if (classes.length > 1000) return [`There are ${classes.length} different labels: is this the column of the labels?`];
  const rare = classes.filter(({ train }) => train === 0).length;
  return rare === 0 ? [] : [`${plural(rare, 'label')} ${rare === 1 ? 'stands' : 'stand'} in held-out rows only and cannot be learned.`];
}

function lengthWarnings(rows: readonly Kept[], seq: number, packed: boolean): string[] {
  const warnings: string[] = [];
  const lengths = rows.map((row) => row.total).sort((a, b) => a - b);
  const cut = lengths.filter((length) => length > seq).length;
  if (cut > 0) {
    const lost = lengths.reduce((sum, length) => sum + Math.max(0, length - seq), 0) / lengths.reduce((sum, length) => sum + length, 0);
    warnings.push(`${cut} of ${plural(rows.length, 'row')} ${cut === 1 ? 'is' : 'are'} longer than ${seq} tokens and will be cut at the end, ${percent(lost)} of all tokens; the longest has ${lengths.at(-1)}. Raise the row length (seq) to keep them whole.`);
  }
  const padding = 1 - rows.reduce((sum, row) => sum + row.ids.length, 0) / (rows.length * seq);
  // Kernels like row lengths that are multiples of 8.
  const enough = Math.ceil((lengths[Math.ceil(0.95 * lengths.length) - 1] ?? seq) / 8) * 8;
  if (!packed && padding > 0.5 && enough < seq) {
    warnings.push(`${Math.round(100 * padding)} % of the positions in a batch are padding: a row length (seq) of ${enough} would hold 95 % of the rows whole and train faster.`);
  }
  return warnings;
}

const percent = (share: number): string => `${share < 0.01 ? (100 * share).toPrecision(1) : share < 0.1 ? (100 * share).toFixed(1) : Math.round(100 * share)} %`;

function fewRowsWarning(trainRows: number, batch: number, unpacked = trainRows): string[] {
  if (trainRows < batch) return [`There ${trainRows === 1 ? 'is' : 'are'} only ${plural(trainRows, 'training row')} for batches of ${batch}: a batch shows a row more than once.`];
  return unpacked < 20 ? [`There are only ${plural(unpacked, 'training row')}: expect the model to learn them by heart.`] : [];
}

function joinWarnings(rows: readonly Kept[], tokenizer: Tokenizer): string[] {
  const pairs = rows.flatMap(({ raw }) => (raw.kind === 'pair' ? [raw] : []));
  if (pairs.length === 0 || tokenizer.hasChat) return [];
  const glued = pairs.filter(({ prompt, completion }) => prompt !== '' && !/\s$/.test(prompt) && !/^\s/.test(completion)).length;
  const where = glued === 0 ? '' : ` In ${glued} of ${plural(pairs.length, 'row')} nothing separates the two: end the prompt with a space or a line break.`;
  return [`This model has no chat template, so prompt and completion are joined as they stand.${where}`];
}

// ---- batches ----

async function assemble(prepared: Prepared, files: readonly Prepared[], source: Source, tokenizer: Tokenizer, options: DatasetOptions): Promise<FileDataset> {
  const { batch: size, seq, seed } = options;
  const { train, validation, test, facts } = source;
  const { format, form, columns, used } = prepared.parsed;
  const collate = (rows: Row[]) => collateRows(rows, size, seq, tokenizer.pad);
  let shuffled: { epoch: number; order: Uint32Array } | undefined;
  const orderOf = (epoch: number): Uint32Array => {
    if (shuffled?.epoch !== epoch) shuffled = { epoch, order: shuffle(train.count, seed, ORDER_STREAM, epoch * train.count) };
    return shuffled.order;
  };
  const preview = ({ ids, spans, total }: Row): TokenRow => {
    const loss = new Array<boolean>(ids.length).fill(false);
    for (const [from, to] of cutSpans(spans, ids.length)) loss.fill(true, from, to);
    return { tokens: tokenizer.pieces(Array.from(ids)), loss, total, cut: total - ids.length };
  };
  const held = (side: Side, rows: number) => {
    const chosen = Array.from({ length: rows }, (_, i) => side.row(Math.floor((i * side.count) / rows), 0));
    return Array.from({ length: Math.ceil(rows / size) }, (_, i) => collate(chosen.slice(i * size, (i + 1) * size)));
  };
  const warnings = commonWarnings(files, tokenizer);
  return {
    summary: {
      name: prepared.name,
      format,
      form,
      hash: prepared.hash,
      tokensHash: await hashOf([train, validation, test].map(wordsOf)),
      columns: [...columns],
      used,
      cells: prepared.cells.map((row) => [...row]),
      rows: facts.trainRows + validation.count + test.count,
      validationRows: validation.count,
      testRows: test.count,
      preview: Array.from({ length: Math.min(PREVIEW_ROWS, train.count) }, (_, i) => preview(train.row(i, 0))),
      ...facts,
      warnings: [...warnings.first, ...facts.warnings, ...warnings.last],
    },
    trainTokens: train.tokens,
    validationTokens: validation.tokens,
    batch(step) {
      return collate(Array.from({ length: size }, (_, b) => {
        const index = step * size + b, epoch = Math.floor(index / train.count);
        return train.row(orderOf(epoch)[index % train.count] as number, epoch);
      }));
    },
    validation: () => held(validation, Math.min(validation.count, (options.validationBatches ?? 16) * size)),
    test: () => held(test, test.count),
  };
}

const wordsOf = (side: Side): Words[] => Array.from({ length: side.count }, (_, i) => {
  const { ids, spans } = side.row(i, 0);
  return [ids, spans.flat()];
});

/** What a row says to a model, in lists of numbers. */
export type Words = readonly ArrayLike<number>[];

/** Every list of every row of every side, each with its length before it, as little-endian words. */
export async function hashOf(sides: readonly (readonly Words[])[]): Promise<string> {
  const size = sides.reduce((sum, rows) => sum + 1 + rows.reduce((all, lists) => all + lists.reduce((row, list) => row + 1 + list.length, 0), 0), 0);
  const words = new Uint32Array(size);
  let at = 0;
  for (const rows of sides) {
    words[at++] = rows.length;
    for (const lists of rows) {
      for (const list of lists) {
        words[at++] = list.length;
        words.set(list, at);
        at += list.length;
      }
    }
  }
  return sha256(new Uint8Array(words.buffer));
}

/** Right-padded; places without a row are all padding. */
function collateRows(rows: Row[], size: number, seq: number, pad: number): Batch {
  const input_ids = new Uint32Array(size * seq).fill(pad);
  const labels = new Int32Array(size * seq).fill(IGNORED);
  let lossTokens = 0;
  rows.forEach(({ ids, spans }, b) => {
    input_ids.set(ids, b * seq);
    for (const [from, to] of spans) for (let t = from; t < to; t++) labels[b * seq + t] = ids[t] as number;
    lossTokens += spanTokens(cutSpans(spans, ids.length));
  });
  return { input_ids, labels, lossTokens };
}
