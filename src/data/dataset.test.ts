import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConfigError, DataError } from '../util/errors';
import { type Batch, type DataFile, type DatasetOptions, datasetFromFile, datasetFromSplit, type TokenRow } from './dataset';
import { loadTokenizer } from './tokenizer';

const read = (path: string) => readFileSync(new URL(`../../public/${path}`, import.meta.url), 'utf8');
const json = JSON.parse(read('models/tale-1m/tokenizer.json'));
const config = JSON.parse(read('models/tale-1m/tokenizer_config.json'));
const tale = loadTokenizer(json, config, read('models/tale-1m/chat_template.jinja'));
const plain = loadTokenizer(json, { ...config, chat_template: undefined }, null);

const options: DatasetOptions = { batch: 4, seq: 16, context: 512, seed: 7, holdout: 0.1 };
const rowsFile = (rows: object[], name = 'rows.jsonl'): DataFile => ({ name, content: rows.map((row) => JSON.stringify(row)).join('\n') });
const textRows = (count: number) => Array.from({ length: count }, (_, i) => ({ text: `row ${i}` }));
/** A text of `count` numbered lines: every window of it is unlike every other. */
const longText = (count: number): DataFile => ({ name: 'long.txt', content: Array.from({ length: count }, (_, i) => `line ${i} of the text`).join('\n') });

/** Rows of a batch as text, without padding. */
const texts = ({ input_ids }: Batch, seq = 16) => Array.from({ length: input_ids.length / seq }, (_, b) => tale.decode([...input_ids.subarray(b * seq, (b + 1) * seq)], { skipSpecial: true }));
const all = (batches: Batch[], seq = 16) => batches.flatMap((batch) => texts(batch, seq)).filter((text) => text !== '');

/** What a previewed row only reads, and what it learns. */
function parts(row: TokenRow | undefined): [read: string, learned: string] {
  if (!row) throw new Error('no such row');
  const split = row.loss.indexOf(true);
  expect(row.loss).toEqual(row.tokens.map((_, i) => i >= split));
  return [row.tokens.slice(0, split).join(''), row.tokens.slice(split).join('')];
}

async function refusal(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(() => { throw new Error('was not refused'); }, (e: unknown) => e);
  expect(error instanceof DataError || error instanceof ConfigError).toBe(true);
  return `${(error as DataError).message}; ${(error as DataError).hint}`;
}

describe('rows with prompt and completion', () => {
  it('carry loss on the answer and the closing token only', async () => {
    const file = { name: 'data.jsonl', content: read('data/wordnet-json/data.jsonl') };
    const { summary, batch } = await datasetFromFile(file, tale, { ...options, seq: 64 });
    expect(parts(summary.preview.find(({ tokens }) => tokens.join('').includes('monkey')))).toEqual([
      '<|bos|><|user|>Look up "monkey".<|assistant|>',
      '{"word":"monkey","pos":"noun","kind":"primate","meaning":"any of various long-tailed primates"}<|eos|>',
    ]);

    // In a batch: label = id at the same place (not shifted) on the answer, -100 before it and on padding.
    const { input_ids, labels, lossTokens } = batch(0);
    let counted = 0;
    for (let b = 0; b < 4; b++) {
      const ids = [...input_ids.subarray(b * 64, (b + 1) * 64)], marks = [...labels.subarray(b * 64, (b + 1) * 64)];
      const answer = ids.indexOf(4) + 1, end = ids.indexOf(2) + 1;
      expect(marks).toEqual(ids.map((id, t) => (t >= answer && t < end ? id : -100)));
      expect(ids.slice(end).every((id) => id === 0)).toBe(true);
      counted += end - answer;
    }
    expect(lossTokens).toBe(counted);
    expect(summary.cutRows).toBe(0);
    expect(summary.warnings).toEqual([]);
  });

  it('without a template are joined as they stand, and a missing space is pointed out', async () => {
    const file = rowsFile([{ prompt: 'Q: one', completion: 'two' }, { prompt: 'Q: red ', completion: 'blue' }]);
    const { summary } = await datasetFromFile(file, plain, { ...options, holdout: 0 });
    expect(summary.preview.map(parts)).toEqual([['<|bos|>Q: one', 'two<|eos|>'], ['<|bos|>Q: red ', 'blue<|eos|>']]);
    expect(summary.warnings).toContain('This model has no chat template, so prompt and completion are joined as they stand. In 1 of 2 rows nothing separates the two: end the prompt with a space or a line break.');
  });

  it('fall back to appending the answer where the template renders it unlike an open one', async () => {
    const odd = loadTokenizer(json, config, '{{ bos_token }}{% if add_generation_prompt %}ask {{ messages[0].content }} :{% else %}other{% endif %}');
    const { summary } = await datasetFromFile(rowsFile([{ prompt: 'one', completion: 'two' }]), odd, { ...options, holdout: 0 });
    expect(parts(summary.preview[0])).toEqual(['<|bos|>ask one :', 'two<|eos|>']);
  });

  it('end at the closing token whatever the template writes after it, and get one where it writes none', async () => {
    const learned = async (template: string) => {
      const tokenizer = loadTokenizer(json, config, template);
      const { summary } = await datasetFromFile(rowsFile([{ prompt: 'one', completion: 'two' }]), tokenizer, { ...options, holdout: 0 });
      return parts(summary.preview[0])[1];
    };
    expect(await learned('{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% if m.role == "assistant" %}{{ eos_token }}\n\n{% endif %}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}')).toBe('two<|eos|>');
    expect(await learned('{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}')).toBe('two<|eos|>');
  });
});

describe('rows with text', () => {
  it('carry loss on everything but the first token, which is never predicted', async () => {
    const { summary, batch } = await datasetFromFile(rowsFile([{ text: 'The fox ran.' }]), tale, { ...options, holdout: 0, batch: 1, seq: 8 });
    expect(summary.preview).toEqual([{ tokens: ['<|bos|>', 'The', ' fox', ' ran', '.', '<|eos|>'], loss: [false, true, true, true, true, true], total: 6, cut: 0 }]);
    const { input_ids, labels, lossTokens } = batch(0);
    expect([...labels]).toEqual([...input_ids.subarray(0, 6), -100, -100]);
    expect([...input_ids.subarray(6)]).toEqual([0, 0]);
    expect(lossTokens).toBe(5);
  });

  it('longer than a row are cut at the end and counted', async () => {
    const file = rowsFile([...textRows(40), { text: 'one two three four five six seven eight nine ten' }]);
    const { summary, trainTokens } = await datasetFromFile(file, tale, { ...options, seq: 8, holdout: 0 });
    expect(summary.cutRows).toBe(1);
    expect(summary.warnings).toContain('1 of 41 rows is longer than 8 tokens and will be cut at the end; the longest has 12. Raise the row length (seq) to keep them whole.');
    expect(summary.lengths.counts.reduce((a, b) => a + b, 0)).toBe(41);
    expect(summary.lengths.counts[Math.floor(12 / summary.lengths.width)]).toBe(1);
    expect(summary.tokens - trainTokens).toBe(4);
  });
});

describe('batches', () => {
  it('are a pure function of seed and step', async () => {
    for (const file of [rowsFile(textRows(30)), longText(60)]) {
      const a = await datasetFromFile(file, tale, options), b = await datasetFromFile(file, tale, options);
      const forward = Array.from({ length: 20 }, (_, step) => a.batch(step));
      // Backwards, as after a resume at any step.
      for (let step = 19; step >= 0; step--) expect(b.batch(step)).toEqual(forward[step]);
      const other = await datasetFromFile(file, tale, { ...options, seed: 8 });
      expect(other.batch(0)).not.toEqual(forward[0]);
    }
  });

  it('show every training row once an epoch, in a new order each time', async () => {
    const { batch, summary } = await datasetFromFile(rowsFile(textRows(24)), tale, { ...options, batch: 3, holdout: 0.25 });
    expect(summary.trainRows).toBe(18);
    const epochs = [0, 1, 2].map((epoch) => Array.from({ length: 6 }, (_, i) => texts(batch(epoch * 6 + i))).flat());
    for (const epoch of epochs) expect([...epoch].sort()).toEqual([...(epochs[0] as string[])].sort());
    expect(new Set(epochs[0]).size).toBe(18);
    expect(epochs[1]).not.toEqual(epochs[0]);
    expect(epochs[2]).not.toEqual(epochs[1]);
  });

  it('of a text are windows on a grid that moves from epoch to epoch', async () => {
    const file = longText(80);
    const ids = [1, ...tale.encode(file.content as string, { addSpecial: false }), 2];
    const { batch, summary } = await datasetFromFile(file, tale, { ...options, batch: 1 });
    const starts = (epoch: number) => Array.from({ length: summary.trainRows }, (_, i) => {
      const { input_ids, labels } = batch(epoch * summary.trainRows + i);
      expect([...labels]).toEqual([...input_ids]);
      const start = ids.findIndex((_, at) => input_ids.every((id, t) => ids[at + t] === id));
      expect(start).toBeGreaterThanOrEqual(0);
      return start;
    }).sort((a, b) => a - b);
    const phases = [0, 1, 2, 3].map((epoch) => {
      const found = starts(epoch);
      const [phase] = found as [number];
      expect(found).toEqual(found.map((_, i) => phase + 16 * i));
      return phase;
    });
    expect(new Set(phases).size).toBeGreaterThan(1);
    for (const phase of phases) expect(phase).toBeLessThan(16);
  });
});

describe('the held-out part', () => {
  it('shares no row with training, whatever repeats', async () => {
    const row = fc.record({ text: fc.constantFrom('a fox', 'a hen', 'a pig', 'a cow', 'a dog') });
    await fc.assert(fc.asyncProperty(fc.array(row, { minLength: 2, maxLength: 40 }), fc.nat(), fc.constantFrom(0.05, 0.2, 0.5), async (rows, seed, holdout) => {
      fc.pre(new Set(rows.map(({ text }) => text)).size > 1);
      const { batch, validation, summary } = await datasetFromFile(rowsFile(rows), tale, { ...options, seed, holdout, validationBatches: 1000 });
      expect(summary.trainRows).toBeGreaterThan(0);
      expect(summary.validationRows).toBeGreaterThan(0);
      expect(summary.trainRows + summary.validationRows).toBe(rows.length);
      const trained = new Set(all(Array.from({ length: Math.ceil(summary.trainRows / 4) }, (_, step) => batch(step))));
      const held = all(validation());
      expect(held).toHaveLength(summary.validationRows);
      expect(held.filter((text) => trained.has(text))).toEqual([]);
    }), { numRuns: 60 });
  });

  it('has the wanted size, and says how many rows repeat', async () => {
    const { summary } = await datasetFromFile(rowsFile([...textRows(50), ...textRows(50)]), tale, options);
    expect(summary.validationRows).toBe(10);
    expect(summary.warnings).toContain('50 of 100 rows repeat an earlier row word for word; equal rows are kept on one side of the split.');
    expect((await datasetFromFile(rowsFile(textRows(40)), tale, { ...options, holdout: 0 })).validation()).toEqual([]);
  });

  it('of a text is its end, and no training window reaches into it', async () => {
    const file = longText(100);
    const { batch, validation, summary, validationTokens } = await datasetFromFile(file, tale, { ...options, validationBatches: 1000 });
    const held = [...validation().flatMap(({ input_ids }) => [...input_ids])].slice(0, validationTokens);
    const ids = [1, ...tale.encode(file.content as string, { addSpecial: false }), 2];
    expect(held).toEqual(ids.slice(-validationTokens));
    expect(validationTokens / ids.length).toBeCloseTo(0.1, 1);
    // Line numbers are unique, so a shared line shows as a shared number.
    const numbers = (texts: string[]) => new Set(texts.flatMap((text) => text.match(/line \d+ /g) ?? []));
    const heldNumbers = numbers([tale.decode(held).replace(/^[^\n]*\n/, '')]);
    for (const number of numbers(all(Array.from({ length: summary.trainRows * 3 }, (_, step) => batch(step))))) expect(heldNumbers.has(number)).toBe(false);
  });

  it('comes in a fixed order, capped and spread, the last batch filled up without loss', async () => {
    const dataset = await datasetFromFile(rowsFile(textRows(22)), tale, { ...options, holdout: 0.5 });
    expect(dataset.validation()).toEqual(dataset.validation());
    const last = dataset.validation().at(-1) as Batch;
    expect(dataset.validation()).toHaveLength(3);
    expect([...last.labels.subarray(3 * 16)]).toEqual(Array(16).fill(-100));
    expect(all([last])).toHaveLength(3);
    const capped = await datasetFromFile(rowsFile(textRows(22)), tale, { ...options, holdout: 0.5, validationBatches: 1 });
    const order = all(dataset.validation());
    expect(all(capped.validation())).toEqual([0, 2, 5, 8].map((i) => order[i]));
  });

  it('may be a file of its own', async () => {
    const train = rowsFile(textRows(10)), held = rowsFile([{ text: 'row 3' }, { text: 'new' }], 'held.jsonl');
    const dataset = await datasetFromSplit(train, held, tale, options);
    expect(all(dataset.validation())).toEqual(['row 3', 'new']);
    expect(dataset.summary).toMatchObject({ name: 'rows.jsonl', rows: 12, trainRows: 10, validationRows: 2 });
    expect(dataset.summary.warnings).toContain('1 of 2 validation rows also stands in rows.jsonl: the validation loss will look better than it is.');
    expect(dataset.summary.hash).toBe(createHash('sha256').update(train.content).digest('hex'));
    expect(dataset.validationHash).toBe(createHash('sha256').update(held.content).digest('hex'));

    const texts = await datasetFromSplit(longText(40), { ...longText(10), name: 'held.txt' }, tale, options);
    expect(texts.summary.validationRows).toBeGreaterThan(1);
    expect(await refusal(datasetFromSplit(train, longText(10), tale, options))).toBe('long.txt: another kind of data than rows.jsonl: a text against rows with "text"; Give both files the same form.');
    expect(await refusal(datasetFromSplit(longText(40), { name: 'held.txt', content: 'short' }, tale, options))).toMatch(/^held.txt: too short: \d+ tokens, one row of 16 tokens want 16; /);
  });
});

describe('facts about the data', () => {
  it('hash the bytes of the file, given as bytes or as text', async () => {
    const content = '{"text": "é"}\r\n{"text": "b"}';
    const hash = createHash('sha256').update(content).digest('hex');
    expect((await datasetFromFile({ name: 'a.jsonl', content }, tale, options)).summary.hash).toBe(hash);
    const bytes = new TextEncoder().encode(content);
    expect((await datasetFromFile({ name: 'a.jsonl', content: bytes }, tale, options)).summary.hash).toBe(hash);
    const marked = new TextEncoder().encode(`\ufeff${content}`);
    const { summary } = await datasetFromFile({ name: 'a.jsonl', content: marked }, tale, options);
    expect(summary.hash).toBe(createHash('sha256').update(marked).digest('hex'));
  });

  it('of the King James text', async () => {
    const { summary, trainTokens, validationTokens } = await datasetFromFile({ name: 'data.txt', content: read('data/king-james/data.txt') }, tale, { ...options, seq: 64 });
    expect(summary).toMatchObject({ format: 'text', cutRows: 0, warnings: [] });
    expect(summary.rows).toBe(summary.trainRows + summary.validationRows);
    expect(validationTokens / summary.tokens).toBeCloseTo(0.1, 2);
    expect(trainTokens).toBe(summary.trainRows * 64);
    expect(summary.preview).toHaveLength(5);
    expect(summary.preview[0]?.tokens).toHaveLength(64);
    expect(summary.preview[0]?.loss.filter(Boolean)).toHaveLength(63);
  });

  it('warn of padding, of few rows, of damaged characters and of a missing end token', async () => {
    const warnings = async (file: DataFile, tokenizer = tale, more: Partial<DatasetOptions> = {}) => (await datasetFromFile(file, tokenizer, { ...options, ...more })).summary.warnings;
    expect(await warnings(rowsFile(textRows(40)), tale, { seq: 64 })).toEqual([expect.stringMatching(/^9\d % of the positions in a batch are padding: a row length \(seq\) of 8 would hold 95 % of the rows whole and train faster\.$/)]);
    expect(await warnings(rowsFile(textRows(3)), tale, { seq: 8 })).toContain('There are only 2 training rows for batches of 4: a batch shows a row more than once.');
    expect(await warnings(rowsFile(textRows(10)), tale, { seq: 8 })).toContain('There are only 9 training rows: expect the model to learn them by heart.');
    expect(await warnings({ name: 'a.txt', content: `${'many words '.repeat(400)}\ufffd` })).toContain('1 character could not be read as UTF-8 and will be learned as the sign “\ufffd”.');
    const endless = loadTokenizer(json, { bos_token: '<|bos|>' }, null);
    expect(await warnings(rowsFile(textRows(40)), endless, { seq: 8 })).toContain('The tokenizer has no end-of-text token, so the model does not learn where to stop.');
  });
});

describe('what is refused', () => {
  it('rows that do not fit the model or the settings', async () => {
    const file = rowsFile(textRows(10));
    expect(await refusal(datasetFromFile(file, tale, { ...options, seq: 1024 }))).toBe("training.seq: rows longer than the model's context: 1024 tokens, the model takes 512; Lower seq to 512 or less.");
    expect(await refusal(datasetFromFile(file, tale, { ...options, seq: 1 }))).toBe('training.seq: a row needs at least 2 tokens: got 1; Give a whole number from 2.');
    expect(await refusal(datasetFromFile(file, tale, { ...options, batch: 0 }))).toBe('training.batch: a batch needs at least 1 row: got 0; Give a whole number from 1.');
    expect(await refusal(datasetFromFile(file, tale, { ...options, holdout: 0.7 }))).toBe('holdout: not a share from 0 to 0.5: got 0.7; Give a share such as 0.1.');
  });

  it('a text too short for a training row and a held-out row', async () => {
    const file = { name: 'tiny.txt', content: 'Once upon a time there was a little fox.' };
    expect(await refusal(datasetFromFile(file, tale, options))).toBe('tiny.txt: too short: 12 tokens, one training row and one held-out row of 16 tokens want 32; Add text, or lower the row length (seq) to 6 or less.');
    expect(await refusal(datasetFromFile(file, tale, { ...options, holdout: 0 }))).toBe('tiny.txt: too short: 12 tokens, one row of 16 tokens want 16; Add text, or lower the row length (seq) to 12 or less.');
    const fits = await datasetFromFile(file, tale, { ...options, seq: 6, batch: 1 });
    expect(fits.summary).toMatchObject({ trainRows: 1, validationRows: 1 });
    expect(fits.batch(0).input_ids).not.toEqual(fits.validation()[0]?.input_ids);
  });

  it('a single row, or equal rows only, when some are to be held out', async () => {
    expect(await refusal(datasetFromFile(rowsFile([{ text: 'a' }]), tale, options))).toBe('rows.jsonl: too few rows: one row, training and validation want a different one each; Add rows, or set the held-out share to 0.');
    expect(await refusal(datasetFromFile(rowsFile([{ text: 'a' }, { text: 'a' }]), tale, options))).toBe('rows.jsonl: too few rows: 2 rows, all equal, training and validation want a different one each; Add rows, or set the held-out share to 0.');
  });

  it('a row whose prompt leaves no room for the answer, by its line', async () => {
    const file = rowsFile([{ prompt: 'a', completion: 'b' }, { prompt: 'one two three four five six', completion: 'b' }]);
    expect(await refusal(datasetFromFile(file, tale, { ...options, seq: 8 }))).toBe('rows.jsonl: line 2: nothing left to learn: the prompt alone has 9 tokens, a row has 8; Raise the row length (seq) above 9, or shorten the prompt.');
    const bare = loadTokenizer(json, {}, null);
    expect(await refusal(datasetFromFile(rowsFile([{ text: 'a' }]), bare, options))).toBe('rows.jsonl: line 1: nothing to learn: the row has 1 token, and the first is never predicted; Write more text into the row, or remove it.');
  });

  it('bad files, with the name of the file', async () => {
    expect(await refusal(datasetFromFile({ name: 'x.jsonl', content: '{"txt":1}' }, tale, options))).toMatch(/^x\.jsonl: line 1: neither "text" nor /);
  });
});
