// Pairs of texts: which columns, which rows belong together, and how a batch holds them.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { DataError } from '../util/errors';
import { readPairs } from './annotated';
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
