// What an encoder makes of one text of the user's, or of two: the probability of each class, of the likeliest words for the first hidden one,
// of the tag of each of its words, or of each line of the second text to belong to the first one.
import { textRow, wordsRow } from '../data/encoder';
import type { Tokenizer } from '../data/tokenizer';
import type { Device } from '../engine/gpu/device';
import { noAdapters } from '../engine/nn/site';
import { labelsOf } from '../models/model';
import { ConfigError } from '../util/errors';
import { Evaluator } from './evaluate';
import type { Attached } from './import';
import type { LoadedModel } from './loaded';
import { softmax } from './softmax';

export interface Judged {
  readonly labels: string[];
  readonly shares: number[];
  /** Of texts that are matched: the cosine of each with what they are held against. */
  readonly cosines?: number[];
  /** They stand in an order of their own, all of them to be shown. */
  readonly inOrder?: boolean;
}

/** Words shown for a hidden one. */
const MOST = 10;

export async function judge(device: Device, model: LoadedModel, attached: Attached | null, { text, second }: { text: string; second?: string }): Promise<Judged> {
  const { task, info, tokenizer, name } = model;
  const labels = labelsOf(task);
  const hidden = task.kind === 'masked-lm';
  if (task.kind === 'token-classification') return tag(device, model, attached, text);
  if (task.kind === 'sentence-embedding') return match(device, model, attached, text, (second ?? '').split('\n').map((line) => line.trim()).filter((line) => line !== ''));
  if (model.model.kind !== 'encoder' || !tokenizer || (!labels && !hidden)) throw new ConfigError(`${name}: it neither sorts texts nor fills in words`, 'Choose an encoder, and data for it.');
  const row = textRow(text, second, tokenizer, info.context);
  const place = hidden ? row.input_ids.indexOf(tokenizer.mask as number) : 0;
  if (place < 0) throw new ConfigError('no word of the text is hidden', `Write ${tokenizer.pieces([tokenizer.mask as number])[0]} where one is to be filled in.`);
  const time = row.input_ids.length;
  const evaluator = await evaluatorFor(device, model, attached, [1, time]);
  try {
    const logits = await evaluator.logitsOf({ ...row, labels: new Int32Array(hidden ? time : 1).fill(-100) });
    if (labels) return { labels: [...labels], shares: softmax(logits) };
    const width = logits.length / time;
    const shares = softmax(logits.subarray(place * width, (place + 1) * width));
    const likeliest = Array.from(shares.keys()).sort((a, b) => (shares[b] as number) - (shares[a] as number)).slice(0, MOST);
    return { labels: tokenizer.pieces(likeliest), shares: likeliest.map((id) => shares[id] as number) };
  } finally {
    evaluator.dispose();
  }
}

const evaluatorFor = (device: Device, model: LoadedModel, attached: Attached | null, shape: readonly [number, number]): Promise<Evaluator> =>
  Evaluator.create(device, model, attached?.attachment.adapters ?? noAdapters, shape, { logits: true, ...(attached ? { heads: attached.attachment.heads } : {}), ...(attached?.bound ? { bound: attached.bound } : {}) });

/** The tag of each word that the model reads, at its first token. */
async function tag(device: Device, model: LoadedModel, attached: Attached | null, text: string): Promise<Judged> {
  const { info, task } = model;
  const [labels, words] = [labelsOf(task) as readonly string[], text.trim().split(/\s+/)];
  const { row, begins } = wordsRow(words, tokenizerOf(model), info.context);
  const evaluator = await evaluatorFor(device, model, attached, [1, begins.length]);
  try {
    const logits = await evaluator.logitsOf({ ...row, labels: new Int32Array(begins.length).fill(-100) });
    const tagged = begins.flatMap((word, t) => {
      if (word < 0) return [];
      const shares = softmax(logits.subarray(t * labels.length, (t + 1) * labels.length));
      const share = Math.max(...shares);
      return [{ label: `${words[word]}: ${labels[shares.indexOf(share)]}`, share }];
    });
    return { labels: tagged.map(({ label }) => label), shares: tagged.map(({ share }) => share), inOrder: true };
  } finally {
    evaluator.dispose();
  }
}

function tokenizerOf({ tokenizer, name }: LoadedModel): Tokenizer {
  if (!tokenizer) throw new ConfigError(`${name}: tokenizer.json is missing`, 'Add the tokenizer of this model to its folder.');
  return tokenizer;
}

/** Which of some texts belongs to one. */
async function match(device: Device, model: LoadedModel, attached: Attached | null, text: string, others: readonly string[]): Promise<Judged> {
  const { info } = model;
  const tokenizer = tokenizerOf(model);
  if (others.length < 2) throw new ConfigError('there is nothing to tell apart', 'Write two or more texts to choose from, each on a line.');
  const rows = [...others.map(() => text), ...others].map((one) => textRow(one, undefined, tokenizer, info.context).input_ids);
  const time = Math.max(...rows.map((ids) => ids.length));
  const input_ids = new Uint32Array(rows.length * time).fill(tokenizer.pad);
  const attention_mask = new Uint32Array(rows.length * time);
  rows.forEach((ids, row) => {
    input_ids.set(ids, row * time);
    attention_mask.fill(1, row * time, row * time + ids.length);
  });
  const evaluator = await evaluatorFor(device, model, attached, [others.length, time]);
  try {
    const { logits, cosines } = await evaluator.match({ input_ids, attention_mask, labels: new Int32Array(others.length).fill(-100) });
    return { labels: [...others], shares: softmax(logits.subarray(0, others.length)), cosines: [...cosines.subarray(0, others.length)] };
  } finally {
    evaluator.dispose();
  }
}
