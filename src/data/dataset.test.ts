import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConfigError, DataError } from '../util/errors';
import { parquetWriteBuffer } from 'hyparquet-writer';
import Papa from 'papaparse';
import { blocks } from './blocks';
import { type Batch, type DataFile, type DatasetOptions, datasetFromFile, datasetFromSplit, prepare, type TokenRow } from './dataset';
import { pack } from './pack';
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
    expect([...labels]).toEqual([-100, ...input_ids.subarray(1, 6), -100, -100]);
    expect([...input_ids.subarray(6)]).toEqual([0, 0]);
    expect(lossTokens).toBe(5);
  });

  it('longer than a row are cut at the end and counted', async () => {
    const file = rowsFile([...textRows(40), { text: 'one two three four five six seven eight nine ten' }]);
    const { summary, trainTokens } = await datasetFromFile(file, tale, { ...options, seq: 8, holdout: 0 });
    expect(summary.cutRows).toBe(1);
    expect(summary.cutTokens).toBe(4);
    expect(summary.warnings).toContain(`1 of 41 rows is longer than 8 tokens and will be cut at the end, ${((100 * 4) / summary.tokens).toFixed(1)} % of all tokens; the longest has 12. Raise the row length (seq) to keep them whole.`);
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

describe('conversations', () => {
  const talk = (...said: string[]) => ({ messages: said.map((content, i) => ({ role: i % 2 ? 'assistant' : 'user', content })) });
  const learned = ({ tokens, loss }: TokenRow) => tokens.map((token, i) => (loss[i] ? token : '·')).join('').replace(/·+/g, '·');

  it('carry loss on every turn of the assistant, from its first word to the token that ends it', async () => {
    const { summary } = await datasetFromFile(rowsFile([talk('Hi', 'Hello.', 'How are you?', 'Well.')]), tale, { ...options, holdout: 0, seq: 64 });
    expect(summary).toMatchObject({ form: 'chat', used: { messages: 'messages' } });
    expect(summary.preview[0]?.tokens.join('')).toBe('<|bos|><|user|>Hi<|assistant|>Hello.<|eos|><|user|>How are you?<|assistant|>Well.<|eos|>');
    expect(learned(summary.preview[0] as TokenRow)).toBe('·Hello.<|eos|>·Well.<|eos|>');
  });

  it('of one turn are the tokens of a prompt and its completion', async () => {
    const tokens = async (row: object) => (await datasetFromFile(rowsFile([row]), tale, { ...options, holdout: 0 })).summary;
    const [a, b] = [await tokens(talk('Hi', 'Hello.')), await tokens({ prompt: 'Hi', completion: 'Hello.' })];
    expect(a.preview).toEqual(b.preview);
    expect(a.tokensHash).toBe(b.tokensHash);
    expect((await tokens({ system: 'Be kind.', prompt: 'Hi', completion: 'Hello.' })).preview[0]?.tokens.join('')).toBe('<|bos|><|system|>Be kind.<|user|>Hi<|assistant|>Hello.<|eos|>');
  });

  it('learn a turn only where the template writes it as it did while the talk was going on', async () => {
    const forgetful = loadTokenizer(json, config, '{% for m in messages %}<|{{ m.role }}|>{% if m.role == "assistant" and not loop.last %}(cut){% else %}{{ m.content }}{% endif %}{% if m.role == "assistant" %}{{ eos_token }}{% endif %}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}');
    const { summary } = await datasetFromFile(rowsFile([talk('Hi', 'Hello.', 'And?', 'Well.')]), forgetful, { ...options, holdout: 0, seq: 64 });
    expect(learned(summary.preview[0] as TokenRow)).toBe('·Well.<|eos|>');
  });

  it('are refused by a model without a template, and by a template that fails, by their line', async () => {
    expect(await refusal(datasetFromFile(rowsFile([talk('Hi', 'Hello.')]), plain, options))).toBe('rows.jsonl: line 1: conversations need a chat template, and this model has none; Choose a model made for chat, or columns with a prompt and a completion.');
    const strict = loadTokenizer(json, config, '{% for m in messages %}{% if (m.role == "user") != (loop.index0 % 2 == 0) %}{{ raise_exception("roles must alternate") }}{% endif %}{{ m.content }}{% endfor %}');
    const twice = { messages: [{ role: 'user', content: 'a' }, { role: 'user', content: 'b' }, { role: 'assistant', content: 'c' }] };
    expect(await refusal(datasetFromFile(rowsFile([talk('Hi', 'Hello.'), twice]), strict, options))).toMatch(/^rows\.jsonl: line 2: chat template: cannot be rendered: .*roles must alternate; /);
  });
});

describe('packing', () => {
  const rows = Array.from({ length: 60 }, (_, i) => ({ prompt: `Say ${i}.`, completion: 'word '.repeat(1 + (i % 7)).trim() }));

  it('keeps every token and every place with loss, and leaves the held-out rows alone', async () => {
    const [loose, packed] = [await datasetFromFile(rowsFile(rows), tale, { ...options, seq: 48 }), await datasetFromFile(rowsFile(rows), tale, { ...options, seq: 48, pack: true })];
    const { packing } = packed.summary;
    expect(packing.packedRows).toBeLessThan(packing.rows / 2);
    expect(packing.packedPadding).toBeLessThan(packing.padding / 3);
    expect(loose.summary.packing).toEqual({ ...packing, on: false });
    expect(packed.validation()).toEqual(loose.validation());
    expect(packed.trainTokens).toBe(loose.trainTokens);
    // One whole epoch of each.
    const one = await datasetFromFile(rowsFile(rows), tale, { ...options, seq: 48, batch: packing.packedRows, pack: true });
    const other = await datasetFromFile(rowsFile(rows), tale, { ...options, seq: 48, batch: packing.rows });
    expect(one.batch(0).lossTokens).toBe(other.batch(0).lossTokens);
    expect(one.batch(0).labels.filter((label) => label >= 0).length).toBe(one.batch(0).lossTokens);
  });

  it('puts every item into one bin, none too full, and few of them', () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 64 }).chain((size) => fc.tuple(fc.constant(size), fc.array(fc.integer({ min: 1, max: size }), { maxLength: 80 }))), ([size, lengths]) => {
      const bins = pack(lengths, size);
      expect(bins.flat().sort((a, b) => a - b)).toEqual(lengths.map((_, i) => i));
      const sums = bins.map((bin) => bin.reduce((sum, i) => sum + (lengths[i] as number), 0));
      for (const sum of sums) expect(sum).toBeLessThanOrEqual(size);
      // Best fit decreasing needs at most 11/9 of the best plus 1 (Johnson 1974); the best is no less than the sum.
      const least = lengths.reduce((a, b) => a + b, 0) / size;
      expect(bins.filter((_, i) => (sums[i] as number) <= size / 2).length).toBeLessThanOrEqual(1);
      expect(bins.length).toBeGreaterThanOrEqual(least);
    }));
  });
});

describe('training, validation and test', () => {
  it('have no row in common, and a test set aside moves no row out of the validation', async () => {
    const file = rowsFile(textRows(100));
    const [two, three] = [await datasetFromFile(file, tale, { ...options, validationBatches: 99 }), await datasetFromFile(file, tale, { ...options, test: 0.2, validationBatches: 99 })];
    expect(all(three.validation())).toEqual(all(two.validation()));
    expect(three.summary).toMatchObject({ trainRows: 70, validationRows: 10, testRows: 20 });
    const sides = [all(Array.from({ length: 18 }, (_, step) => three.batch(step))), all(three.validation()), all(three.test())].map((texts) => new Set(texts));
    expect(new Set(sides.flatMap((side) => [...side])).size).toBe(100);
    expect(sides.map((side) => side.size)).toEqual([70, 10, 20]);
  });

  it('of a text are three pieces in order', async () => {
    const { summary, test, validation } = await datasetFromFile(longText(100), tale, { ...options, test: 0.1, validationBatches: 99 });
    expect(summary.testRows).toBe(summary.validationRows);
    const number = (batches: Batch[]) => Number(/line (\d+) /.exec(all(batches).join(''))?.[1]);
    expect(number(test())).toBeGreaterThan(number(validation()));
    expect(await refusal(datasetFromFile({ name: 'tiny.txt', content: 'Once upon a time there was a little fox.' }, tale, { ...options, test: 0.1, seq: 6 }))).toContain('one row each for training, validation and test');
  });

  it('are watched for near duplicates, and the nearest are shown', async () => {
    const about = (i: number) => `The traveller number ${i} went over the ${['green', 'blue', 'grey', 'white'][i % 4]} hill to town ${i * 7}, and came back on day ${i * 13} with ${i * 31} apples, ${i * 17} pears and a dog called Rex-${i}.`;
    const rows = Array.from({ length: 80 }, (_, i) => ({ text: about(i) }));
    expect((await datasetFromFile(rowsFile(rows), tale, { ...options, seq: 64 })).summary.near).toEqual({ count: 0, examples: [] });
    // Every row once more with one word at the end changed.
    const doubled = [...rows, ...rows.map(({ text }) => ({ text: text.replace('called', 'named') }))];
    const { summary } = await datasetFromFile(rowsFile(doubled), tale, { ...options, seq: 64 });
    const held = summary.validationRows;
    expect(summary.near.count).toBeGreaterThan(held / 2);
    expect(summary.near.examples[0]?.similarity).toBeGreaterThanOrEqual(0.8);
    expect(summary.near.examples[0]?.train).toMatch(/^The traveller/);
    expect(summary.warnings).toContain(`${summary.near.count} of ${held} held-out rows nearly repeat a training row (80 % or more of their phrases in common): the validation loss will look better than it is.`);
  });
});

describe('labels', () => {
  const rows = Array.from({ length: 40 }, (_, i) => ({ text: `Review ${i}`, label: i % 4 ? 'good' : 'bad' }));

  it('are counted by class and side, and a decoder learns to name them', async () => {
    const { summary } = await datasetFromFile(rowsFile(rows), tale, { ...options, test: 0.1 });
    expect(summary.classes?.map(({ label }) => label)).toEqual(['good', 'bad']);
    for (const part of ['train', 'validation', 'test'] as const) expect(summary.classes?.reduce((sum, entry) => sum + entry[part], 0)).toBe(summary[`${part}Rows`]);
    expect(parts(summary.preview[0])[1]).toMatch(/^(good|bad)<\|eos\|>$/);
    expect((await datasetFromFile(rowsFile(rows), plain, { ...options, holdout: 0 })).summary.preview.map(parts)[1]).toEqual(['<|bos|>Review 1\n', 'good<|eos|>']);
    const pairs = await datasetFromFile({ name: 'a.csv', content: 'premise,hypothesis,label\nIt rains.,It is wet.,yes\n' }, plain, { ...options, holdout: 0 });
    expect(parts(pairs.summary.preview[0])).toEqual(['<|bos|>It rains.\nIt is wet.\n', 'yes<|eos|>']);
  });

  it('of one class, and labels never trained on, are pointed out', async () => {
    const warnings = async (list: object[], more = {}) => (await datasetFromFile(rowsFile(list), tale, { ...options, ...more })).summary.warnings;
    expect(await warnings(rows.map((row) => ({ ...row, label: 'good' })))).toContain('Every row has the same label, "good": there is nothing to tell apart.');
    expect(await warnings(rows.map((row, i) => ({ ...row, label: `class ${i}` })))).toContain('4 labels stand in held-out rows only and cannot be learned.');
  });
});

describe('the same tokens everywhere', () => {
  it('a long text in blocks is the text in one piece', () => {
    const text = read('data/king-james/data.txt').slice(0, 200_000);
    for (const size of [1, 50, 5000]) {
      const some = [...blocks(text.slice(0, size * 400), size)];
      expect(some.join('')).toBe(text.slice(0, size * 400));
      expect(some.length).toBeGreaterThan(20);
      expect(some.flatMap((block) => tale.encode(block, { addSpecial: false }))).toEqual(tale.encode(text.slice(0, size * 400), { addSpecial: false }));
    }
    const dense = 'x'.repeat(600_000);
    expect([...blocks(dense)].join('')).toBe(dense);
    expect([...blocks(dense)].length).toBeGreaterThan(1);
  });

  it('whatever the file says them in', async () => {
    const rows = textRows(30).map(({ text }, i) => ({ prompt: text, completion: `answer ${i}` }));
    const hashes = new Set<string>();
    for (const file of [
      rowsFile(rows), { name: 'a.json', content: JSON.stringify(rows) }, { name: 'a.csv', content: Papa.unparse(rows) }, { name: 'a.tsv', content: Papa.unparse(rows, { delimiter: '\t' }) },
      { name: 'a.parquet', content: new Uint8Array(parquetWriteBuffer({ columnData: [{ name: 'prompt', data: rows.map((row) => row.prompt) }, { name: 'completion', data: rows.map((row) => row.completion) }] })) },
    ]) hashes.add((await datasetFromFile(file, tale, options)).summary.tokensHash);
    expect(hashes.size).toBe(1);
    // The hash sees the split and the loss, not only the tokens.
    expect(hashes).not.toContain((await datasetFromFile(rowsFile(rows), tale, { ...options, seed: 8 })).summary.tokensHash);
  });

  it('and reading them can be watched and stopped', async () => {
    const file = rowsFile(Array.from({ length: 20_000 }, (_, i) => ({ text: `row ${i} of a long file with some words in it` })));
    const seen: number[] = [];
    await prepare(file, tale, {}, { progress: (done, total) => seen.push(done / total) });
    expect(seen.length).toBeGreaterThan(3);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(seen.at(-1)).toBe(1);
    const stop = new AbortController();
    await expect(prepare(file, tale, {}, { signal: stop.signal, progress: () => stop.abort() })).rejects.toThrow(/abort/i);
  });
});
