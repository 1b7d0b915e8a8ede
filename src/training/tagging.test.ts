// A tag for each word: learned with a head that is made, measured by words and by entities, exported with the head and read back.
import { afterEach, beforeAll, expect, test } from 'vitest';
import type { Device } from '../engine/gpu/device';
import { noAdapters } from '../engine/nn/site';
import { testDevice } from '../engine/testing/device';
import { readPeft } from '../formats/peft';
import { bytesSource } from '../formats/safetensors';
import { share } from '../methods/testing/logits';
import { tokens } from '../methods/testing/random';
import { plain, trained } from '../methods/testing/runs';
import { BERT, folderOf, loadFolder, loadTiny } from '../methods/testing/tiny';
import type { Task } from '../models/model';
import { type Attachment, attachFiles, detach } from './attach';
import { Evaluator, type TokenBatch } from './evaluate';
import { mergedWeights } from './export';
import { type LoadedModel, freeWeights } from './loaded';

const SHAPE = [8, 12] as const;
const task = { kind: 'token-classification', labels: ['O', 'B-X', 'I-X'] } as const satisfies Task;

/** Of eight tokens four are O, two begin an X and two go on with one. The first of a row and padding say nothing. */
function batch(name: string): TokenBatch {
  const input_ids = tokens(SHAPE[0] * SHAPE[1], 8, name);
  const attention_mask = Uint32Array.from(input_ids, (_, i) => Number(i % 12 < (Math.floor(i / 12) % 2 === 0 ? 12 : 9)));
  const labels = Int32Array.from(input_ids, (id, i) => (i % 12 === 0 || attention_mask[i] === 0 ? -100 : id < 4 ? 0 : id < 6 ? 1 : 2));
  return { input_ids, labels, attention_mask };
}

let device: Device;
let loaded: LoadedModel;
beforeAll(async () => { device = await testDevice(); });
afterEach(() => { if (loaded) freeWeights(device, loaded); });

async function logits(model: LoadedModel, { adapters, heads }: Pick<Attachment, 'adapters' | 'heads'>): Promise<Float32Array> {
  const evaluator = await Evaluator.create(device, model, adapters, SHAPE, { heads });
  const values = await evaluator.logitsOf(batch('held 0'));
  evaluator.dispose();
  return values;
}

test('learns, and leaves its head with the adapter: read back and merged it gives the same tags', async () => {
  loaded = await loadTiny(device, BERT, 1, task);
  expect([...loaded.network.created]).toEqual(['classifier.weight', 'classifier.bias']);
  const held = [batch('held 0'), batch('held 1')];
  await trained({ device, loaded, fields: { rank: 4 }, data: { batch: (step) => batch(`train ${step}`), validation: () => held }, training: { ...plain, steps: 120, batch: SHAPE[0], seq: SHAPE[1], lr: 5e-3 } }, async ({ run, events }) => {
    const evals = events.flatMap((event) => (event.kind === 'eval' ? [event] : []));
    const [first, last] = [evals[0]!, evals.at(-1)!];
    expect(Object.keys(last.metrics)).toEqual(['accuracy', 'macro_f1', 'entity_f1']);
    expect(last.loss).toBeLessThan(0.5 * first.loss);
    expect(last.metrics.accuracy).toBeGreaterThan(0.9);
    expect(last.metrics.macro_f1).toBeGreaterThan(0.8);
    expect(first.metrics.entity_f1).toBeLessThan(0.6);
    expect(last.metrics.entity_f1).toBeGreaterThan(0.75);

    const live = await logits(loaded, run.attachment);
    const wanted = [...held[0]!.labels].flatMap((label, i) => (label < 0 ? [] : [{ label, row: [...live.subarray(3 * i, 3 * i + 3)] }]));
    const loss = wanted.reduce((sum, { label, row }) => sum + Math.log(row.reduce((all, x) => all + Math.exp(x), 0)) - (row[label] as number), 0) / wanted.length;
    const evaluator = await Evaluator.create(device, loaded, run.attachment.adapters, SHAPE, { heads: run.attachment.heads });
    const one = await evaluator.mean([held[0]!]);
    evaluator.dispose();
    expect(one.tokens).toBe(wanted.length);
    expect(one.loss).toBeCloseTo(loss, 5);
    expect(one.metrics.accuracy).toBeCloseTo(wanted.filter(({ label, row }) => row.indexOf(Math.max(...row)) === label).length / wanted.length, 12);
    // A row's loss is the mean over its words: 11 in even rows, 8 in odd ones.
    expect(one.rows.map(({ row }) => row)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(one.rows.reduce((sum, { row, loss: mean }) => sum + mean * (row % 2 === 0 ? 11 : 8), 0) / 76).toBeCloseTo(loss, 5);

    const tagged = one.rows.flatMap(({ tags }) => tags?.wanted.map((tag, i) => [tag, tags.given[i]]) ?? []);
    expect(tagged).toEqual(wanted.map(({ label, row }) => [task.labels[label], task.labels[row.indexOf(Math.max(...row))]]));
    const { folder, receipt } = await run.exportPeft('tiny');
    expect(receipt.maxLogitDifference).toBeLessThan(1e-5);
    expect(receipt.effect).toBeGreaterThan(0.1);
    const adapter = await readPeft(new Map(folder.files.map(({ name, bytes }) => [name, bytesSource(name, bytes)])));
    expect(adapter.config).toMatchObject({ task_type: 'TOKEN_CLS', modules_to_save: ['classifier'] });
    expect(adapter.saved.map(({ name, shape }) => [name, shape]).sort()).toEqual([['classifier.bias', [3]], ['classifier.weight', [3, 32]]]);
    const read = attachFiles(device, loaded.network, [adapter]);
    expect(share(await logits(loaded, read), live)).toBeLessThan(1e-5);
    detach(device, read);

    const config = { ...BERT, architectures: ['BertForTokenClassification'], ...({ id2label: { 0: 'O', 1: 'B-X', 2: 'I-X' } } as object) };
    const merged = await loadFolder(device, folderOf(config, await mergedWeights(device, loaded, run.attachment.adapters, 'F32', run.attachment.heads)));
    expect(merged.task).toEqual(task);
    expect(merged.network.created.size).toBe(0);
    expect(share(await logits(merged, { adapters: noAdapters, heads: new Map() }), live)).toBeLessThan(1e-5);
    freeWeights(device, merged);
  });
});
