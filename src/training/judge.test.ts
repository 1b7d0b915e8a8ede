// A text tried out: the same probabilities as a padded batch of the evaluator gives for its row, and refusals that say what to do.
import { fileURLToPath } from 'node:url';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { folderSources } from '../cli/files';
import type { Device } from '../engine/gpu/device';
import { noAdapters } from '../engine/nn/site';
import { testDevice } from '../engine/testing/device';
import { openHfFolder } from '../formats/hf-folder';
import { EMBEDDING, type Task } from '../models/model';
import type { Tokenizer } from '../data/tokenizer';
import { Evaluator } from './evaluate';
import { judge } from './judge';
import { type LoadedModel, describeModel, freeWeights, uploadWeights } from './loaded';

const TIME = 16;
let device: Device;
let loaded: LoadedModel;
beforeAll(async () => { device = await testDevice(); });
afterEach(() => freeWeights(device, loaded));
const load = async (id: string, task: Task) => {
  loaded = describeModel(id, await openHfFolder(await folderSources(fileURLToPath(new URL(`../../public/models/${id}`, import.meta.url)))), task);
  await uploadWeights(device, loaded);
};

/** Logits of rows of texts, padded to TIME, by the evaluator. */
async function padded(pairs: readonly (readonly [string, string?])[], labels: number): Promise<Float32Array> {
  const { encode, frame, pad } = loaded.tokenizer as Tokenizer;
  const rows = pairs.map(([a, b]) => frame(encode(a, { addSpecial: false }), b === undefined ? null : encode(b, { addSpecial: false })));
  const flat = (of: (row: (typeof rows)[number], t: number) => number) => Uint32Array.from({ length: rows.length * TIME }, (_, i) => of(rows[Math.floor(i / TIME)]!, i % TIME));
  const evaluator = await Evaluator.create(device, loaded, noAdapters, [loaded.task.kind === 'sentence-embedding' ? labels : rows.length, TIME], { logits: true });
  try {
    return await evaluator.logitsOf({
      input_ids: flat(({ ids }, t) => ids[t] ?? pad), token_type_ids: flat(({ types }, t) => types[t] ?? 0), attention_mask: flat(({ ids }, t) => Number(t < ids.length)),
      labels: new Int32Array(labels).fill(-100),
    });
  } finally {
    evaluator.dispose();
  }
}
const close = (got: readonly number[], want: readonly number[]) => got.forEach((x, i) => expect(Math.abs(x - (want[i] as number))).toBeLessThan(1e-5));
const shares = (logits: Float32Array) => {
  const exps = Array.from(logits, (x) => Math.exp(x - Math.max(...logits)));
  return exps.map((x) => x / exps.reduce((a, b) => a + b));
};

test('classes of a text and of a pair', async () => {
  await load('gloss-1m', { kind: 'sequence-classification', labels: ['low', 'high', 'other'] });
  const logits = await padded([['a small animal'], ['a small animal', 'it lives in the woods']], 2);
  for (const [row, second] of [[0, undefined], [1, 'it lives in the woods']] as const) {
    const got = await judge(device, loaded, null, { text: 'a small animal', ...(second ? { second } : {}) });
    expect(got.labels).toEqual(['low', 'high', 'other']);
    close(got.shares, shares(logits.subarray(3 * row, 3 * row + 3)));
  }
});

test('the likeliest words for a hidden one; a text without one is refused', async () => {
  await load('gloss-1m', { kind: 'masked-lm' });
  const { labels, shares: got } = await judge(device, loaded, null, { text: 'an animal that lives in the [MASK]' });
  const logits = await padded([['an animal that lives in the [MASK]']], TIME);
  const width = logits.length / TIME;
  // [CLS] and six words stand before it.
  const at = shares(logits.subarray(7 * width, 8 * width));
  const order = [...at.keys()].sort((a, b) => (at[b] as number) - (at[a] as number)).slice(0, 10);
  expect(labels).toEqual((loaded.tokenizer as Tokenizer).pieces(order));
  close(got, order.map((id) => at[id] as number));
  await expect(judge(device, loaded, null, { text: 'an animal' })).rejects.toMatchObject({ message: 'no word of the text is hidden', hint: 'Write [MASK] where one is to be filled in.' });
});

test('the tag of each word, in the order of the text', async () => {
  await load('gloss-1m', { kind: 'token-classification', labels: ['O', 'B-X', 'I-X'] });
  const got = await judge(device, loaded, null, { text: ' a  small unbelievable animal' });
  const logits = await padded([['a small unbelievable animal']], TIME);
  const lengths = ['a', 'small', 'unbelievable', 'animal'].map((word) => (loaded.tokenizer as Tokenizer).encode(word, { addSpecial: false }).length);
  const places = lengths.map((_, i) => 1 + lengths.slice(0, i).reduce((a, b) => a + b, 0));
  const best = places.map((t) => shares(logits.subarray(3 * t, 3 * t + 3))).map((row) => ({ tag: ['O', 'B-X', 'I-X'][row.indexOf(Math.max(...row))], share: Math.max(...row) }));
  expect(got).toMatchObject({ labels: best.map(({ tag }, i) => `${['a', 'small', 'unbelievable', 'animal'][i]}: ${tag}`), inOrder: true });
  close(got.shares, best.map(({ share }) => share));
});

test('which of some lines belongs to a text; one line alone is refused', async () => {
  await load('gloss-1m', { ...EMBEDDING, scale: 5 });
  const lines = ['it lives in the woods', 'a coin of silver', 'a tree'];
  const got = await judge(device, loaded, null, { text: 'a small animal', second: `${lines.join('\n')}\n\n` });
  const logits = await padded([...lines.map((): [string] => ['a small animal']), ...lines.map((line): [string] => [line])], 3);
  expect(got.labels).toEqual(lines);
  close(got.shares, shares(logits.subarray(0, 3)));
  // Logits are cosines times the scale.
  close(got.cosines as number[], [...logits.subarray(0, 3)].map((x) => x / 5));
  expect(Math.max(...got.shares) - Math.min(...got.shares)).toBeGreaterThan(0.01);
  await expect(judge(device, loaded, null, { text: 'a small animal', second: 'a tree' })).rejects.toMatchObject({ hint: 'Write two or more texts to choose from, each on a line.' });
});

test('a model that only writes is refused by name', async () => {
  await load('tale-1m', { kind: 'causal-lm' });
  await expect(judge(device, loaded, null, { text: 'an animal' })).rejects.toThrow('tale-1m: it neither sorts texts nor fills in words');
});
