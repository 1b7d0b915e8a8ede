// Pairs of texts and words with tags: which columns, which rows belong together, which token says a word's tag, and how a batch holds them.
import { readFileSync } from 'node:fs';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { describe, expect, it } from 'vitest';
import { DataError } from '../util/errors';
import { readPairs, readTagged } from './annotated';
import type { Batch, DataFile, DatasetOptions } from './dataset';
import { encoderDataset } from './encoder';
import { loadTokenizer } from './tokenizer';

const read = (file: string): unknown => JSON.parse(readFileSync(new URL(`../../public/models/gloss-1m/${file}`, import.meta.url), 'utf8'));
const gloss = loadTokenizer(read('tokenizer.json'), read('tokenizer_config.json'), null);
const options: DatasetOptions = { batch: 4, seq: 12, context: 128, seed: 7, holdout: 0.25 };
const rowsFile = (rows: readonly object[], name = 'rows.jsonl'): DataFile => ({ name, content: rows.map((row) => JSON.stringify(row)).join('\n') });
const said = async (work: () => Promise<unknown>): Promise<string> => {
  const error = await work().then(() => null, (thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(DataError);
  return `${(error as DataError).message} | ${(error as DataError).hint}`;
};
/** The text at a place of a batch. */
const textAt = ({ input_ids, attention_mask }: Batch, row: number) => gloss.decode([...input_ids.subarray(row * 12, (row + 1) * 12)].filter((_, t) => attention_mask?.[row * 12 + t] === 1), { skipSpecial: true });

const pairs = Array.from({ length: 16 }, (_, i) => ({ anchor: `bird number ${i}`, positive: `animal of wing ${i}` }));

describe('pairs of texts', () => {
  const embed = (file: DataFile, validation: DataFile | null = null, more: Partial<DatasetOptions> = {}) => encoderDataset({ kind: 'sentence-embedding' }, file, validation, gloss, { ...options, ...more });

  it('finds columns by usual names, and takes those that are chosen', async () => {
    expect((await readPairs(rowsFile(pairs))).used).toEqual({ text: 'anchor', second: 'positive' });
    const sheet: DataFile = { name: 'sts.csv', content: 'sentence1,sentence2,score,genre\na b,c d,2.5,news\ne,f,0,news\n' };
    expect(await readPairs(sheet)).toMatchObject({ used: { text: 'sentence1', second: 'sentence2', score: 'score' }, rows: [{ place: 'row 1', text: 'a b', second: 'c d', score: 2.5 }, { score: 0 }] });
    expect((await readPairs(sheet, { text: 'sentence2', second: 'genre' })).rows[0]).toEqual({ place: 'row 1', text: 'c d', second: 'news' });
  });

  it('puts first texts before second ones; a place without a row attends to nothing', async () => {
    const data = await embed(rowsFile(pairs), rowsFile(pairs.slice(0, 6), 'held.jsonl'));
    const batch = data.batch(0);
    expect([...batch.labels]).toEqual([0, 1, 2, 3]);
    for (let b = 0; b < 4; b++) expect(textAt(batch, 4 + b)).toBe(textAt(batch, b).replace('bird number', 'animal of wing'));
    const [, last] = data.validation() as [Batch, Batch];
    expect([...last.labels]).toEqual([0, 1, -100, -100]);
    expect(textAt(last, 5)).toBe('animal of wing 5');
    expect([2, 3, 6, 7].map((row) => textAt(last, row))).toEqual(['', '', '', '']);
    expect(last.lossTokens).toBe(2);
    expect(data.summary).toMatchObject({ form: 'text-pair', trainRows: 16, validationRows: 6, classes: null, warnings: [] });
  });

  it('holds all pairs of one first text out together', async () => {
    const file = rowsFile(pairs.flatMap((pair) => [pair, { ...pair, positive: `${pair.positive} too` }]));
    const data = await embed(file);
    const firsts = (batches: Batch[]) => new Set(batches.flatMap((batch) => [...batch.labels].flatMap((label, b) => (label < 0 ? [] : [textAt(batch, b)]))));
    const [train, held] = [firsts(Array.from({ length: data.summary.trainRows / 4 }, (_, step) => data.batch(step))), firsts(data.validation())];
    expect([train.size, held.size]).toEqual([12, 4]);
    expect([...held].filter((text) => train.has(text))).toEqual([]);
  });

  it('learns from pairs that score in the upper half; the others count for the correlation alone', async () => {
    const scored = pairs.map((pair, i) => ({ ...pair, score: i % 4 }));
    const data = await embed(rowsFile(scored), rowsFile(scored.slice(0, 4), 'held.jsonl'));
    expect(data.summary.trainRows).toBe(8);
    const [held] = data.validation() as [Batch];
    expect([...held.labels]).toEqual([-100, -100, 2, 3]);
    expect([...(held.scores as Float32Array)]).toEqual([0, 1, 2, 3]);
    expect(data.summary.warnings[0]).toBe('rows.jsonl: 8 of 16 pairs score below 1.5, the middle of 0 to 3: they are not learned from, and held out count for the correlation alone.');
    expect([...(data.batch(0).scores as Float32Array)].every((score) => score >= 2)).toBe(true);
  });

  it('says what is left out and what repeats', async () => {
    const { summary } = await embed(rowsFile([...pairs, { anchor: 'bird', positive: ' ' }, { anchor: 'another', positive: 'animal of wing 3' }]), null, { batch: 1 });
    expect(summary.warnings).toEqual([
      '1 row repeats the second text of another: in one batch they count as wrong answers to one another.',
      'In batches of one pair there is nothing to tell it from: raise the batch.',
      '1 row without content is left out.',
    ]);
  });

  it('refuses what it cannot use, with file, row and column', async () => {
    const say = (rows: readonly object[], columns = {}) => said(() => readPairs(rowsFile(rows), columns));
    expect(await say([{ anchor: 'a', positive: 'b', score: 'high' }])).toBe('rows.jsonl: line 1: "score" must be a number: got "high" | Write how alike the two texts are, in the same unit in all rows.');
    expect(await say([{ anchor: 'a', positive: 'b', score: 1 }, { anchor: 'a', positive: 'b' }])).toMatch(/^rows\.jsonl: line 2: "score" must be a number: got nothing/);
    expect(await say([{ anchor: 'a', positive: 'b' }, { anchor: 'a', positive: 3 }])).toMatch(/^rows\.jsonl: line 2: "positive" must be a string: got 3/);
    expect(await say([{ anchor: 'a', label: 'b' }])).toBe('rows.jsonl: "second" is missing: the columns are "anchor", "label" | Say which columns are text and second.');
    expect(await say(pairs, { text: 'anchor', second: 'answer' })).toMatch(/^rows\.jsonl: there is no column "answer" for the second: the columns are "anchor", "positive"/);
    expect(await say(pairs, { text: 'anchor', second: 'positive', label: 'positive' })).toMatch(/^rows\.jsonl: label does not go together with text and second \| Choose text, second, score alone\./);
    expect(await said(() => readPairs({ name: 'a.txt', content: 'one two' }))).toBe('a.txt: it is a running text, and has no columns | Give a table with text and second in each row.');
  });
});

describe('words with tags', () => {
  const LABELS = ['O', 'B-X', 'I-X'];
  const rows = Array.from({ length: 12 }, (_, i) => ({ tokens: ['the', 'unbelievable', `bird${i}`, 'sings'], tags: ['O', 'B-X', 'I-X', 'O'] }));
  const tag = (file: DataFile, validation: DataFile | null = null, labels: readonly string[] = LABELS, seq = 24) => encoderDataset({ kind: 'token-classification', labels }, file, validation, gloss, { ...options, seq, holdout: validation ? 0 : 0.25 });

  it('says a tag at the first token of its word and nowhere else', async () => {
    const data = await tag(rowsFile(rows));
    const batch = data.batch(0);
    for (let b = 0; b < 4; b++) {
      const ids = [...batch.input_ids.subarray(b * 24, (b + 1) * 24)], labels = [...batch.labels.subarray(b * 24, (b + 1) * 24)];
      const i = gloss.decode(ids, { skipSpecial: true }).match(/bird ?(\d+)/)?.[1];
      const words = ['the', 'unbelievable', `bird${i}`, 'sings'].map((word) => gloss.encode(word, { addSpecial: false }));
      expect(words.flat().length).toBeGreaterThan(words.length + 1);
      expect(ids.slice(1, 1 + words.flat().length)).toEqual(words.flat());
      expect(labels).toEqual([-100, ...words.flatMap((word, w) => word.map((_, t) => (t === 0 ? [0, 1, 2, 0][w] : -100))), ...new Array(23 - words.flat().length).fill(-100)]);
    }
    expect(batch.lossTokens).toBe(16);
    expect(data.summary).toMatchObject({ form: 'tagged-words', used: { tokens: 'tokens', tags: 'tags' }, trainRows: 9, validationRows: 3, classes: [{ label: 'O', train: 18, validation: 6 }, { label: 'B-X', train: 9 }, { label: 'I-X' }], warnings: [] });
    expect(data.summary.preview[0]?.loss.filter(Boolean)).toHaveLength(4);
  });

  it('cuts long rows, and loses the tags of what is cut', async () => {
    const data = await tag(rowsFile(rows), rowsFile(rows, 'held.jsonl'), LABELS, 5);
    const said = [...data.batch(0).labels.subarray(0, 5)];
    expect([said[0], said[1], said[2], said[4]]).toEqual([-100, 0, 1, -100]);
    expect(data.summary.cutRows).toBe(24);
  });

  it('reads numbers, and from parquet the names that stand beside them', async () => {
    expect((await readTagged(rowsFile([{ words: ['a', 'b'], ner_tags: [0, 2] }]))).rows).toEqual([{ place: 'line 1', words: ['a', 'b'], tags: ['0', '2'] }]);
    const columnData = [{ name: 'tokens', data: rows.map(({ tokens }) => tokens) }, { name: 'ner_tags', data: rows.map(() => [0, 1, 2, 0]) }];
    for (const ner_tags of [{ feature: { names: LABELS, _type: 'ClassLabel' }, _type: 'Sequence' }, [{ names: LABELS, _type: 'ClassLabel' }]]) {
      const content = new Uint8Array(parquetWriteBuffer({ columnData, kvMetadata: [{ key: 'huggingface', value: JSON.stringify({ info: { features: { ner_tags } } }) }] }));
      expect((await readTagged({ name: 'ner.parquet', content })).rows[3]).toEqual({ place: 'row 4', words: rows[3]?.tokens, tags: ['O', 'B-X', 'I-X', 'O'] });
    }
  });

  it('refuses what it cannot use, with file, row, column and word', async () => {
    const say = (...some: object[]) => said(() => readTagged(rowsFile(some)));
    expect(await say({ tokens: 'a b', tags: ['O', 'O'] })).toBe('rows.jsonl: line 1: "tokens" must be a list, a word for each word: got a string | Write {"tokens": ["Anna", "sings"], "tags": ["B-PER", "O"]}.');
    expect(await say(rows[0] as object, { tokens: ['a', 5], tags: ['O', 'O'] })).toBe('rows.jsonl: line 2: "tokens": word 2 must be a string with something in it: got 5 | Correct it, or remove the row.');
    expect(await say({ tokens: ['a', 'b'], tags: ['O', null] })).toMatch(/^rows\.jsonl: line 1: "tags": tag 2 must be a string or a whole number: got null/);
    expect(await say({ tokens: ['a', 'b', 'c'], tags: ['O'] })).toBe('rows.jsonl: line 1: 1 in "tags" for 3 in "tokens" | Give each word one tag.');
    expect(await say({ tokens: ['a'] })).toBe('rows.jsonl: "tags" is missing: the columns are "tokens" | Say which columns are tokens and tags.');
    expect(await say({ tokens: [], tags: [] })).toMatch(/^rows\.jsonl: line 1: "tokens" is empty/);
    expect(await said(() => tag(rowsFile(rows), rowsFile([{ tokens: ['a', 'b'], tags: ['O', 'B-Y'] }], 'held.jsonl')))).toBe('held.jsonl: line 1: the tag "B-Y" of word 2 is none of the classes: O, B-X, I-X | Use the same tags in all files.');
  });
});
