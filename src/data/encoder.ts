// Batches for models that read a row in both directions: rows framed by the model's special tokens ([CLS] … [SEP]), with an attention
// mask; a class a row, a tag a word, hidden tokens to be guessed, or pairs of texts to be matched. Batches are pure functions of (data, options, step), as in dataset.ts.
import { ColumnsError, ConfigError, DataError } from '../util/errors';
import { shuffle, uniform } from '../util/random';
import { type TaggedWords, type TextPair, readPairs, readTagged } from './annotated';
import { type Batch, type DataFile, type DataSummary, type DatasetOptions, type FileDataset, ORDER_STREAM, type ShownRow, checkOptions, hashOf, histogram, nearOf, plural, sha256, sidesOf } from './dataset';
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

export type EncoderTask = { readonly kind: 'masked-lm' } | { readonly kind: 'sequence-classification' | 'token-classification'; readonly labels: readonly string[] } | { readonly kind: 'sentence-embedding' };

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

/** What the model reads at once, and how many tokens it was before the cut. */
interface Frame { readonly ids: readonly number[]; readonly types: readonly number[]; readonly special: readonly boolean[]; readonly total: number }
/** `frames`: one, or the two texts of a pair that are read apart. `labels`: one, or of words one a token. */
interface Row { readonly frames: readonly Frame[]; readonly labels: readonly number[]; readonly score?: number; readonly signed: Signed; readonly shown: ShownRow }
/** What the summary says of the file. */
type Read = Pick<DataSummary, 'format' | 'form'> & Pick<ParsedData, 'columns' | 'used' | 'leftOut'>;

/** The data of an encoder's task; `validation` has the held-out rows, where it is given. */
export function encoderDataset(task: EncoderTask, file: DataFile, validation: DataFile | null, tokenizer: Tokenizer, options: DatasetOptions, columns: Columns = {}): Promise<FileDataset> {
  switch (task.kind) {
    case 'masked-lm': return maskedDataset(file, validation, tokenizer, options, columns);
    case 'sequence-classification': return classificationDataset(file, validation, task.labels, tokenizer, options, columns);
    case 'token-classification': return taggedDataset(file, validation, task.labels, tokenizer, options, columns);
    case 'sentence-embedding': return embeddingDataset(file, validation, tokenizer, options, columns);
  }
}

/** Rows of texts with classes, split by `options.holdout` and `options.test`, or with held-out rows of their own. */
export async function classificationDataset(file: DataFile, validation: DataFile | null, labels: readonly string[], tokenizer: Tokenizer, options: DatasetOptions, columns: Columns = {}): Promise<FileDataset> {
  checkOptions(options);
  const encode = (name: string, examples: readonly LabelRow[]) => examples.map((row) => encodeRow(name, row, labels, tokenizer, options.seq));
  const { parsed, rows: examples } = await labelled(file, columns);
  const all = encode(file.name, examples);
  const part = partsOf(file.name, all, examples.map(({ text, second }) => JSON.stringify([text, second])), validation, options);
  const train = part(0), held = validation ? encode(validation.name, await readExamples(validation, columns)) : part(1);
  return assemble(file, validation, parsed, { train, validation: held, test: part(2) }, absentFrom(train, labels), { kind: 'sequence-classification', labels }, tokenizer, options);
}

/** The rows of a part (0 training, 1 validation, 2 test), where rows of one key stand in one part; all train where others are held out. */
function partsOf(name: string, rows: readonly Row[], keys: readonly string[], validation: DataFile | null, options: DatasetOptions): (part: number) => Row[] {
  const sides = validation ? new Uint8Array(rows.length) : sidesOf(name, keys, options);
  return (part) => rows.filter((_, i) => sides[i] === part);
}

function absentFrom(train: readonly Row[], labels: readonly string[]): string[] {
  const there = new Set(train.flatMap((row) => row.labels));
  const absent = labels.filter((_, label) => !there.has(label));
  return absent.length > 0 ? [`No training row has the label ${absent.map((label) => JSON.stringify(label)).join(', ')}.`] : [];
}

/** Words with a tag each: it is said at a word's first token; further tokens of it, and the frame, carry no loss. */
async function taggedDataset(file: DataFile, validation: DataFile | null, labels: readonly string[], tokenizer: Tokenizer, options: DatasetOptions, columns: Columns): Promise<FileDataset> {
  checkOptions(options);
  const encode = (name: string, all: readonly TaggedWords[]) => all.map((row) => encodeTagged(name, row, labels, tokenizer, options.seq));
  const { rows: tagged, ...read } = await readTagged(file, columns);
  const rows = encode(file.name, tagged);
  const part = partsOf(file.name, rows, tagged.map(({ words }) => JSON.stringify(words)), validation, options);
  const [train, held] = [part(0), validation ? encode(validation.name, (await readTagged(validation, columns)).rows) : part(1)];
  return assemble(file, validation, { format: 'rows', ...read }, { train, validation: held, test: part(2) }, absentFrom(train, labels), { kind: 'token-classification', labels }, tokenizer, options);
}

function encodeTagged(name: string, { place, words, tags }: TaggedWords, labels: readonly string[], tokenizer: Tokenizer, seq: number): Row {
  const numbers = tags.map((tag, i) => {
    const number = labels.indexOf(tag);
    if (number < 0) throw new DataError(`${name}: ${place}: the tag ${JSON.stringify(tag)} of word ${i + 1} is none of the classes: ${labels.join(', ')}`, 'Use the same tags in all files.');
    return number;
  });
  const { frame, begins } = frameWords(name, words, tokenizer, seq);
  return { frames: [frame], labels: begins.map((word) => numbers[word] ?? IGNORED), signed: sign(words.join(' ')), shown: { text: words.join(' '), words: [...words] } };
}

/** `begins`: for each token the number of the word that begins there, −1 where none does. */
function frameWords(name: string, words: readonly string[], tokenizer: Tokenizer, seq: number): { frame: Frame; begins: number[] } {
  // A space before each word, as in a running text: byte-level tokenizers tell the two apart.
  const parts = words.map((word) => tokenizer.encode(` ${word}`, { addSpecial: false }));
  const frame = framed(parts.flat(), null, tokenizer, roomOf(name, tokenizer, seq, false));
  const places = parts.flatMap((ids, word) => ids.map((_, i) => (i === 0 ? word : -1)));
  let at = 0;
  return { frame, begins: frame.special.map((special) => (special ? -1 : (places[at++] as number))) };
}

/** Words as a row of its own length, cut to `most` tokens, and which of them begins where. */
export function wordsRow(words: readonly string[], tokenizer: Tokenizer, most: number): { row: TextRow; begins: number[] } {
  const { frame, begins } = frameWords('the text', words, tokenizer, most);
  return { row: rowAlone(frame), begins };
}

/**
 * Pairs of texts: which of a batch's second texts belongs to a first one. A pair whose score lies in the lower half of the file's does not
 * belong together: it is not learned from, and held out it counts for the correlation alone.
 */
async function embeddingDataset(file: DataFile, validation: DataFile | null, tokenizer: Tokenizer, options: DatasetOptions, columns: Columns): Promise<FileDataset> {
  checkOptions(options);
  const { rows: pairs, ...read } = await readPairs(file, columns);
  const { rows, low } = encodePairs(file.name, pairs, tokenizer, options.seq);
  const part = partsOf(file.name, rows, pairs.map(({ text }) => text), validation, options);
  const train = part(0).filter(belongs);
  if (train.length === 0) throw new DataError(`${file.name}: no pair that belongs together is left to train on`, 'Hold less out, or give more pairs with a score in the upper half.');
  const held = validation ? encodePairs(validation.name, (await readPairs(validation, columns)).rows, tokenizer, options.seq) : null;
  const repeated = pairs.length - new Set(pairs.map(({ second }) => second)).size;
  const warnings = [
    ...[low, held?.low ?? ''].filter((text) => text !== ''),
    ...(repeated === 0 ? [] : [`${plural(repeated, 'row')} ${repeated === 1 ? 'repeats' : 'repeat'} the second text of another: in one batch they count as wrong answers to one another.`]),
    ...(options.batch < 2 ? ['In batches of one pair there is nothing to tell it from: raise the batch.'] : []),
  ];
  return assemble(file, validation, { format: 'rows', ...read }, { train, validation: held?.rows ?? part(1), test: part(2) }, warnings, { kind: 'sentence-embedding' }, tokenizer, options);
}

/** Whether the texts of a pair do. */
const belongs = ({ labels: [label] }: Row): boolean => label !== IGNORED;

function encodePairs(name: string, pairs: readonly TextPair[], tokenizer: Tokenizer, seq: number): { rows: Row[]; low: string } {
  const scores = pairs.flatMap(({ score }) => score ?? []);
  const [least, most] = scores.reduce(([a, b], score) => [Math.min(a, score), Math.max(b, score)], [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]);
  const middle = (least + most) / 2;
  const rows = pairs.map(({ text, second, score }): Row => ({
    frames: [text, second].map((one) => framed(tokenizer.encode(one, { addSpecial: false }), null, tokenizer, roomOf(name, tokenizer, seq, false))),
    labels: [score !== undefined && score < middle ? IGNORED : 0], signed: sign(`${text}\n${second}`), shown: { text, second }, ...(score === undefined ? {} : { score }),
  }));
  const low = rows.filter((row) => !belongs(row)).length;
  return { rows, low: low === 0 ? '' : `${name}: ${low} of ${plural(rows.length, 'pair')} ${low === 1 ? 'scores' : 'score'} below ${middle}, the middle of ${least} to ${most}: ${low === 1 ? 'it is' : 'they are'} not learned from, and held out count for the correlation alone.` };
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
  const windows = Array.from({ length: Math.floor(ids.length / room) }, (_, i) => ({ frames: [framed([...ids.subarray(i * room, (i + 1) * room)], null, tokenizer, room)], labels: [IGNORED], signed: NOTHING, shown: {} }));
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
  return { frames: [framed(a as number[], b ?? null, tokenizer, roomOf(name, tokenizer, seq, second !== undefined))], labels: [number], signed: sign(second === undefined ? text : `${text}\n${second}`), shown: second === undefined ? { text } : { text, second } };
}

/** One text, or two, as a row of its own length, cut to `most` tokens; nothing in it is hidden. */
export function textRow(text: string, second: string | undefined, tokenizer: Tokenizer, most: number): TextRow {
  const [frame] = encodeRow('the text', { place: '', text, ...(second === undefined ? {} : { second }) }, [], tokenizer, most).frames as [Frame];
  return rowAlone(frame);
}

type TextRow = Pick<Batch, 'input_ids' | 'attention_mask' | 'token_type_ids'>;
function rowAlone({ ids, types }: Frame): TextRow {
  return { input_ids: Uint32Array.from(ids), attention_mask: new Uint32Array(ids.length).fill(1), token_type_ids: Uint32Array.from(types) };
}

/** Tokens of text in a row: what the frame leaves. */
function roomOf(name: string, tokenizer: Tokenizer, seq: number, pair: boolean): number {
  const room = seq - tokenizer.frame([], pair ? [] : null).ids.length;
  if (room < (pair ? 2 : 1)) throw new DataError(`${name}: rows of ${seq} tokens leave no room for text beside the special tokens`, 'Raise the row length (seq).');
  return room;
}

/** Cut to `room` tokens, the longer of two texts first, and framed. */
function framed(a: readonly number[], b: readonly number[] | null, tokenizer: Tokenizer, room: number): Frame {
  const total = a.length + (b?.length ?? 0);
  let [keepA, keepB] = [a.length, b?.length ?? 0];
  while (keepA + keepB > room) keepA >= keepB ? keepA-- : keepB--;
  return { total: total + (tokenizer.frame([], b && []).ids.length), ...tokenizer.frame(a.slice(0, keepA), b?.slice(0, keepB) ?? null) };
}

interface Sides { readonly train: readonly Row[]; readonly validation: readonly Row[]; readonly test: readonly Row[] }

async function assemble(file: DataFile, validationFile: DataFile | null, { format, form, columns, used, leftOut }: Read, { train, validation, test }: Sides, warnings: string[], task: EncoderTask, tokenizer: Tokenizer, options: DatasetOptions): Promise<FileDataset> {
  const { batch: size, seq, seed } = options;
  const all = [...train, ...validation, ...test];
  const byToken = task.kind === 'token-classification';
  const framesOf = (rows: readonly Row[]) => rows.flatMap(({ frames }) => frames);
  const lengths = framesOf(all).map(({ total }) => total);
  const tokensIn = (rows: readonly Row[]) => framesOf(rows).reduce((sum, { ids }) => sum + ids.length, 0);
  const cutRows = all.filter(({ frames }) => frames.some(({ total }) => total > seq)).length;
  if (leftOut > 0) warnings.push(`${plural(leftOut, 'row')} without content ${leftOut === 1 ? 'is' : 'are'} left out.`);
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
  const words = (side: readonly Row[]) => side.map(({ frames, labels }) => [...frames.flatMap(({ ids, types }) => [ids, types]), labels]);
  const padding = 1 - tokensIn(train) / (framesOf(train).length * seq);
  const count = (side: readonly Row[], wanted: number) => side.reduce((sum, { labels }) => sum + labels.filter((label) => label === wanted).length, 0);
  const counted = (label: number) => ({ train: count(train, label), validation: count(validation, label), test: count(test, label) });
  return {
    summary: {
      name: file.name, format, form, hash: await fileHash(file), tokensHash: await hashOf([train, validation, test].map(words)), columns: [...columns], used, cells: [],
      rows: all.length, tokens: lengths.reduce((sum, total) => sum + total, 0), trainRows: train.length, validationRows: validation.length, testRows: test.length,
      cutRows, cutTokens: framesOf(all).reduce((sum, { total, ids }) => sum + total - ids.length, 0), lengths: histogram(lengths),
      packing: { on: false, rows: train.length, packedRows: train.length, padding, packedPadding: padding },
      classes: 'labels' in task ? task.labels.map((label, i) => ({ label, ...counted(i) })) : null,
      near: format === 'text' ? { count: 0, examples: [] } : nearOf([...validation, ...test], train),
      preview: train.flatMap(({ frames, labels }) => frames.map(({ ids, total }) => ({ tokens: tokenizer.pieces([...ids]), loss: ids.map((_, t) => byToken && labels[t] !== IGNORED), total, cut: total - ids.length }))).slice(0, 5),
      warnings,
    },
    ...(validationFile ? { validationHash: await fileHash(validationFile) } : {}),
    trainTokens: tokensIn(train),
    validationTokens: tokensIn(validation),
    batch(step) {
      const rows = Array.from({ length: size }, (_, b) => {
        const index = step * size + b;
        return train[orderOf(Math.floor(index / train.length))[index % train.length] as number] as Row;
      });
      return collate(rows, MASK_STREAM, step * size);
    },
    validation: () => held(validation, looked),
    shown: (row) => chosenOf(validation, looked)[row]?.shown ?? {},
    test: () => held(test, test.length),
  };
}

/**
 * Right-padded; places without a row are padding that nothing attends to, and without a label. Row i is masked by draw `first` + i. First
 * texts of pairs stand before all second ones, and a label says which of these belongs to a first one.
 */
function collateRows(rows: readonly Row[], task: EncoderTask, tokenizer: Tokenizer, { batch: size, seq, seed }: DatasetOptions, stream: number, first: number): Batch {
  const { kind } = task;
  const [pairs, masked, tagged] = [kind === 'sentence-embedding', kind === 'masked-lm', kind === 'token-classification'];
  const places = (pairs ? 2 : 1) * size * seq;
  const input_ids = new Uint32Array(places).fill(tokenizer.pad);
  const [attention_mask, token_type_ids] = [new Uint32Array(places), new Uint32Array(places)];
  const labels = new Int32Array(masked || tagged ? size * seq : size).fill(IGNORED);
  const scores = new Float32Array(size).fill(Number.NaN);
  rows.forEach(({ frames, labels: own, score }, b) => {
    frames.forEach(({ ids, types }, text) => {
      const at = (text * size + b) * seq;
      input_ids.set(ids, at);
      token_type_ids.set(types, at);
      attention_mask.fill(1, at, at + ids.length);
    });
    if (!masked) labels.set(pairs && own[0] !== IGNORED ? [b] : own, tagged ? b * seq : b);
    if (score !== undefined) scores[b] = score;
  });
  if (masked) rows.forEach(({ frames: [frame] }, b) => frame?.ids.forEach((id, t) => {
    const draw = (which: number) => uniform(seed, stream, ((first + b) * seq + t) * 4 + which);
    if (frame.special[t] || draw(0) >= CHOSEN) return;
    labels[b * seq + t] = id;
    const fate = draw(1);
    if (fate < HIDDEN) input_ids[b * seq + t] = tokenizer.mask as number;
    else if (fate < OTHER) input_ids[b * seq + t] = Math.floor(draw(2) * tokenizer.vocabSize);
  }));
  return { input_ids, labels, attention_mask, token_type_ids, ...(pairs ? { scores } : {}), lossTokens: labels.filter((label) => label !== IGNORED).length };
}
