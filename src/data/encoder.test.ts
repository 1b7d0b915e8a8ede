import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { DataError } from '../util/errors';
import type { Batch, DataFile, DatasetOptions } from './dataset';
import { classesOf, classificationDataset, encoderDataset, maskedDataset, readExamples } from './encoder';
import { loadTokenizer } from './tokenizer';

const read = (path: string) => readFileSync(new URL(`../../public/models/${path}`, import.meta.url), 'utf8');
const gloss = loadTokenizer(JSON.parse(read('gloss-1m/tokenizer.json')), JSON.parse(read('gloss-1m/tokenizer_config.json')), null);
const tale = loadTokenizer(JSON.parse(read('tale-1m/tokenizer.json')), JSON.parse(read('tale-1m/tokenizer_config.json')), null);
const [CLS, SEP, MASK] = [2, 3, 4];

const options: DatasetOptions = { batch: 4, seq: 16, context: 128, seed: 7, holdout: 0.25 };
const rowsFile = (rows: readonly object[], name = 'rows.jsonl'): DataFile => ({ name, content: rows.map((row) => JSON.stringify(row)).join('\n') });
const reviews = Array.from({ length: 40 }, (_, i) => ({ text: `tea number ${i} was ${i % 2 ? 'good' : 'bad'}`, label: i % 2 ? 'great' : 'other' }));

/** Ids of row `b` up to the padding. */
function row({ input_ids, attention_mask }: Batch, b: number, seq = 16): number[] {
  const mask = [...(attention_mask as Uint32Array).subarray(b * seq, (b + 1) * seq)];
  return [...input_ids.subarray(b * seq, b * seq + mask.lastIndexOf(1) + 1)];
}
const refusal = async (work: () => unknown): Promise<string> => {
  try {
    await work();
  } catch (error) {
    expect(error).toBeInstanceOf(DataError);
    return (error as Error).message;
  }
  throw new Error('was not refused');
};

describe('pairs and tags that cannot be learned', () => {
  const pairs = rowsFile([{ text: 'tea', second: 'a hot drink', score: 5 }, { text: 'a cup', second: 'rain', score: 0 }]);
  const tagged = rowsFile([{ tokens: ['tea'], tags: ['X'] }]);
  it.each<[string, () => Promise<unknown>, RegExp]>([
    ['only pairs that do not belong together are left', () => encoderDataset({ kind: 'sentence-embedding' }, pairs, null, gloss, { ...options, holdout: 0.5 }), /rows\.jsonl: no pair that belongs together is left to train on/],
    ['rows too short for a word', () => encoderDataset({ kind: 'sentence-embedding' }, pairs, null, gloss, { ...options, seq: 2 }), /rows\.jsonl: rows of 2 tokens leave no room for text beside the special tokens/],
    ['a tag of another file', () => encoderDataset({ kind: 'token-classification', labels: ['O', 'B'] }, tagged, null, gloss, { ...options, holdout: 0 }), /rows\.jsonl: line 1: the tag "X" of word 1 is none of the classes: O, B/],
  ])('%s', async (_, work, message) => {
    expect(await refusal(work)).toMatch(message);
  });
});

describe('the frame of a tokenizer', () => {
  it('is what the tokenizer itself puts around one text and two', () => {
    const [a, b] = ['a red kite', 'birds'].map((text) => gloss.encode(text, { addSpecial: false })) as [number[], number[]];
    expect(gloss.frame(a, null)).toEqual({ ids: gloss.encode('a red kite'), types: [CLS, ...a, SEP].map(() => 0), special: [true, ...a.map(() => false), true] });
    expect(gloss.frame(a, b)).toEqual({ ids: [CLS, ...a, SEP, ...b, SEP], types: [...[CLS, ...a, SEP].map(() => 0), ...b.map(() => 1), 1], special: [true, ...a.map(() => false), true, ...b.map(() => false), true] });
    // A causal model's: <|bos|> in front.
    expect(tale.frame([9, 9], null).ids).toEqual([1, 9, 9]);
  });
});

describe('classification', () => {
  it('gives one class a row, framed, padded and masked', async () => {
    const data = await classificationDataset(rowsFile(reviews), null, ['great', 'other'], gloss, options);
    expect(data.summary).toMatchObject({ format: 'rows', rows: 40, trainRows: 30, validationRows: 10, cutRows: 0 });
    const batch = data.batch(0);
    expect(batch.labels).toHaveLength(4);
    expect(batch.lossTokens).toBe(4);
    for (let b = 0; b < 4; b++) {
      const text = gloss.decode(row(batch, b), { skipSpecial: true });
      expect(row(batch, b)[0]).toBe(CLS);
      expect(row(batch, b).at(-1)).toBe(SEP);
      expect(batch.labels[b]).toBe(text.endsWith('good') ? 0 : 1);
      expect([...batch.input_ids.subarray(b * 16 + row(batch, b).length, (b + 1) * 16)].every((id) => id === gloss.pad)).toBe(true);
    }
  });

  it('shows each training row once an epoch and holds no row out that it trains on', async () => {
    const data = await classificationDataset(rowsFile([...reviews, ...reviews]), null, ['great', 'other'], gloss, { ...options, batch: 6 });
    const texts = (batches: Batch[]) => batches.flatMap((batch) => Array.from(batch.labels, (label, b) => (label < 0 ? '' : gloss.decode(row(batch, b))))).filter((text) => text !== '');
    const epoch = texts(Array.from({ length: data.summary.trainRows / 6 }, (_, step) => data.batch(step)));
    const held = texts(data.validation());
    expect(new Set(epoch).size).toBe(30);
    expect(epoch).toHaveLength(60);
    expect(held).toHaveLength(20);
    expect(held.filter((text) => epoch.includes(text))).toEqual([]);
    expect(data.batch(3)).toEqual((await classificationDataset(rowsFile([...reviews, ...reviews]), null, ['great', 'other'], gloss, { ...options, batch: 6 })).batch(3));
  });

  it('fills up the last held-out batch with rows that have no label and nothing to attend to', async () => {
    const data = await classificationDataset(rowsFile(reviews), rowsFile(reviews.slice(0, 5), 'held.jsonl'), ['great', 'other'], gloss, options);
    const last = data.validation().at(-1) as Batch;
    expect([...last.labels]).toEqual([1, -100, -100, -100]);
    expect((last.attention_mask as Uint32Array).subarray(16).every((x) => x === 0)).toBe(true);
    expect(last.lossTokens).toBe(1);
    expect(data.summary.trainRows).toBe(40);
  });

  it('cuts the longer text of a pair first and keeps the frame', async () => {
    const rows = [{ text: 'one two three four five six seven eight nine ten', text_pair: 'bird', label: 1 }, { text: 'bird', text_pair: 'bird', label: 0 }];
    const data = await classificationDataset(rowsFile(rows), null, ['0', '1'], gloss, { ...options, batch: 2, seq: 8, holdout: 0 });
    const batch = data.batch(0);
    const long = batch.labels[0] === 1 ? 0 : 1;
    const ids = row(batch, long, 8);
    expect(gloss.decode(ids)).toBe('[CLS] one two three four [SEP] bird [SEP]');
    expect([...(batch.token_type_ids as Uint32Array).subarray(long * 8, (long + 1) * 8)]).toEqual([0, 0, 0, 0, 0, 0, 1, 1]);
    expect(data.summary.cutRows).toBe(1);
  });

  it('names the classes in the checkpoint’s order, or by name, numbers as numbers', async () => {
    const rows = (...labels: (string | number)[]) => readExamples(rowsFile(labels.map((label, i) => ({ text: `t${i}`, label }))));
    expect(classesOf('f', await rows('b', 'a', 'b'))).toEqual(['a', 'b']);
    expect(classesOf('f', await rows(10, 9, 0))).toEqual(['0', '9', '10']);
    expect(classesOf('f', await rows('neg', 'pos'), ['pos', 'neg', 'neutral'])).toEqual(['pos', 'neg', 'neutral']);
    expect(classesOf('f', await rows('b', 'a'), ['LABEL_0', 'LABEL_1'])).toEqual(['a', 'b']);
  });

  it('reads sheets with columns of any name, keeps rows for a test, and counts the classes', async () => {
    const sheet: DataFile = { name: 'tea.csv', content: `id,review,mood\n${reviews.map(({ text, label }, i) => `${i},${text},${label}`).join('\n')}\n` };
    const data = await classificationDataset(sheet, null, ['great', 'other'], gloss, { ...options, holdout: 0.2, test: 0.1 }, { text: 'review', label: 'mood' });
    expect(data.summary).toMatchObject({ form: 'label', trainRows: 28, validationRows: 8, testRows: 4, used: { text: 'review', label: 'mood' } });
    for (const part of ['train', 'validation', 'test'] as const) expect(data.summary.classes?.reduce((sum, entry) => sum + entry[part], 0)).toBe(data.summary[`${part}Rows`]);
    const texts = (batches: Batch[]) => batches.flatMap((batch) => Array.from(batch.labels, (label, b) => (label < 0 ? '' : gloss.decode(row(batch, b))))).filter((text) => text !== '');
    const sides = [texts(Array.from({ length: 7 }, (_, step) => data.batch(step))), texts(data.validation()), texts(data.test())];
    expect(new Set(sides.flat()).size).toBe(40);
    // The same rows in another form of file are the same tokens.
    const lines = await classificationDataset(rowsFile(reviews), null, ['great', 'other'], gloss, { ...options, holdout: 0.2, test: 0.1 });
    expect(lines.summary.tokensHash).toBe(data.summary.tokensHash);
    expect(await refusal(() => readExamples(sheet))).toMatch(/^tea\.csv: /);
  });

  it('refuses what it cannot use, with file and line', async () => {
    const say = (rows: readonly object[]) => refusal(() => readExamples(rowsFile(rows)));
    expect(await say([{ text: 'x', label: 'a' }, { text: 'x' }])).toBe('rows.jsonl: line 2: "label" is missing: the columns are "text"');
    expect(await say([{ text: 'x', label: 'a' }, { label: 'a' }])).toBe('rows.jsonl: line 2: "text" is missing: the columns are "label"');
    expect(await say([{ text: 'a' }])).toBe('rows.jsonl: there are no labels in it: the columns are "text"');
    expect(await say([{ text: 'x', label: 'a', text_pair: 3 }])).toBe('rows.jsonl: line 1: "text_pair" must be a string: got 3');
    expect(await refusal(() => readExamples({ name: 'f.jsonl', content: '{"text": "x", "label": 1}\n{"text"' }))).toMatch(/^f\.jsonl: line 2: broken JSON/);
    expect(await refusal(async () => classesOf('f', await readExamples(rowsFile([{ text: 'x', label: 'a' }]))))).toMatch(/every row has the label "a"/);
    expect(await refusal(async () => classesOf('f', await readExamples(rowsFile(Array.from({ length: 30 }, (_, i) => ({ text: 'x', label: `l${i}` }))))))).toMatch(/30 different labels in 30 rows/);
    expect(await refusal(() => classificationDataset(rowsFile(reviews), rowsFile([{ text: 'x', label: 'so-so' }], 'v.jsonl'), ['great', 'other'], gloss, options))).toMatch(/^v\.jsonl: line 1: the label "so-so" is none of the classes/);
  });
});

describe('hidden tokens', () => {
  const text: DataFile = { name: 'long.txt', content: Array.from({ length: 400 }, (_, i) => `the ${i}th bird sang on the tree near the river`).join('\n') };

  it('are 15 % of the text’s own tokens: most masked, some others, some left; the labels say what stood there', async () => {
    const data = await maskedDataset(text, null, gloss, options);
    const plain = await maskedDataset(text, text, gloss, options);
    const original = new Map<string, number>();
    expect(plain.summary.trainRows).toBe(data.summary.trainRows + data.summary.validationRows);
    let [tokens, chosen, masked, same] = [0, 0, 0, 0];
    for (let step = 0; step < 150; step++) {
      const batch = data.batch(step);
      batch.labels.forEach((label, i) => {
        const id = batch.input_ids[i] as number;
        if (i % 16 === 0) expect([id, label]).toEqual([CLS, -100]);
        if (i % 16 === 15) expect([id, label]).toEqual([SEP, -100]);
        if (i % 16 !== 0 && i % 16 !== 15) tokens++;
        if (label === -100) return;
        chosen++;
        if (id === MASK) masked++;
        if (id === label) same++;
        original.set(gloss.decode([label]), 1);
      });
    }
    // Within four standard deviations of the shares.
    expect(Math.abs(chosen / tokens - 0.15)).toBeLessThan(4 * Math.sqrt((0.15 * 0.85) / tokens));
    expect(Math.abs(masked / chosen - 0.8)).toBeLessThan(4 * Math.sqrt((0.8 * 0.2) / chosen));
    expect(Math.abs(same / chosen - 0.1)).toBeLessThan(4 * Math.sqrt((0.1 * 0.9) / chosen));
    expect([...original.keys()]).toContain('bird');
  });

  it('change from epoch to epoch in training, and stay in validation', async () => {
    const few: DataFile = rowsFile(Array.from({ length: 4 }, (_, i) => ({ text: `a large bird with long legs lives near the water ${i}` })));
    const data = await maskedDataset(few, null, gloss, { ...options, holdout: 0 });
    expect(data.batch(0).labels).not.toEqual(data.batch(1).labels);
    expect(data.batch(5)).toEqual((await maskedDataset(few, null, gloss, { ...options, holdout: 0 })).batch(5));
    const held = await maskedDataset(text, null, gloss, options);
    expect(held.validation()).toEqual(held.validation());
    expect(held.validation().length).toBeGreaterThan(1);
  });

  it('want a mask token', async () => {
    await expect(maskedDataset(text, null, tale, options)).rejects.toThrow(/no mask_token/);
  });
});
