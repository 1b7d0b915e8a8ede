// What the palette finds and sets, what the gallery filters, which questions a build can answer, and how a comparison reads.
import { describe, expect, it } from 'vitest';
import { createApp } from '../store/app';
import { defaultRun, type RunConfig } from '../store/contract';
import { groupRuns } from '../store/groups';
import { MetricLog } from '../store/metric-log';
import { handClock, hello, model, recordedClient } from '../store/recorded.testing';
import { newRun } from '../store/slices/runs';
import { columnsOf, fullTable, rowsOf, textTable } from './compare/rows';
import { citation, families, matches, notFor } from './methods/catalogue';
import { entriesOf, score, typedValue } from './shell/palette-entries';
import { recipes } from './train/recipes';

async function palette() {
  const { client } = recordedClient();
  const app = createApp(client, handClock().clock);
  await app.ask.begin();
  await app.reconciler.settled();
  const entries = () => {
    const { project, engine, runs } = app.store.getState();
    return entriesOf(app, { draft: project.draft, engine, runs, context: 512 });
  };
  const find = (text: string) => entries().map((entry) => ({ entry, score: score(entry, text) })).filter((result) => result.score > 0).sort((a, b) => b.score - a.score).map(({ entry }) => entry);
  return { app, entries, find };
}

describe('the palette', () => {
  it('has every setting of the method and of training, once, with its value', async () => {
    const { entries } = await palette();
    const ids = entries().map((entry) => entry.id);
    expect(new Set(ids).size).toBe(ids.length);
    const training = Object.keys(defaultRun.training).filter((name) => !['eps', 'saveEvery'].includes(name));
    expect(ids).toEqual(expect.arrayContaining(['rank', 'alpha', 'holdout', 'sample-temperature', ...training]));
    expect(entries().find((entry) => entry.id === 'lr')?.value).toBe('2e-3');
  });

  it('sets a value that is typed after a name, within the range of the field, and nothing else', async () => {
    const { find, app, entries } = await palette();
    const [rank] = find('rank 16');
    expect(rank?.id).toBe('rank');
    expect(typedValue(rank!, 'rank 16')).toEqual({ value: 16, text: '16' });
    for (const text of ['rank', 'rank 1000', 'rank 1.5', 'rank x', 'depth 16']) expect(typedValue(rank!, text)).toBeNull();
    rank?.set?.(16);
    expect(app.store.getState().project.draft.method.fields).toEqual({ rank: 16 });
    const schedule = entries().find((entry) => entry.id === 'schedule');
    expect(typedValue(schedule!, 'schedule cos')).toEqual({ value: 'cosine', text: 'cosine to zero' });
    schedule?.step?.(1);
    expect(app.store.getState().project.draft.training.schedule).toBe('cosine');
  });

  it('finds by the beginnings of words, names before descriptions', async () => {
    const { find } = await palette();
    expect(find('lear ra')[0]?.id).toBe('lr');
    expect(find('patience')[0]?.id).toBe('patience');
    expect(find('zzz')).toEqual([]);
    expect(find('methods').map((entry) => entry.id)).toContain('view methods');
  });
});

describe('the gallery', () => {
  const [lora] = hello.methods;
  it('orders families the same whatever the order of the methods, unknown ones last', () => {
    const methods = [{ ...lora!, family: 'baseline' as const }, { ...lora!, family: 'strange' as never }, { ...lora!, family: 'sparse' as const }];
    expect(families(methods).map(({ id }) => id)).toEqual(['sparse', 'baseline', 'strange']);
    expect(families(methods.toReversed()).map(({ id }) => id)).toEqual(['sparse', 'baseline', 'strange']);
  });
  it('finds by name, author, title and year, and cites a year once', () => {
    const card = { ...lora!, name: 'SoRA', paper: { title: 'Sparse Low-rank', authors: 'Ding et al.', year: 2023, venue: 'EMNLP 2023', url: '' } };
    for (const text of ['sora', 'ding', 'sparse low', '2023', '']) expect(matches(card, text)).toBe(true);
    expect(matches(card, 'hu')).toBe(false);
    expect(citation(card)).toBe('Ding et al., EMNLP 2023');
    expect(citation({ ...card, paper: { ...card.paper, venue: 'EMNLP' } })).toBe('Ding et al., EMNLP 2023');
    expect(citation({ ...card, paper: { ...card.paper, year: 2022 } })).toBe('Ding et al., EMNLP 2023');
  });
  it('says of a method that cannot adapt the model what each is', () => {
    const card = { ...lora!, models: ['encoder', 'vit'] as (typeof model.kind)[] };
    expect(notFor(model, card)).toBe('tale-1m is one of the text decoders; this method adapts text encoders, vision transformers.');
    expect(notFor({ ...model, kind: 'vit' }, card)).toBe('');
    expect(notFor(null, card)).toBe('');
  });
});

it('only questions that this build can answer are asked, each with the prompt of its data', () => {
  const found = recipes(hello);
  expect(found.map(({ id }) => id)).toEqual(['voice', 'small']);
  expect(found[0]?.config.sample.prompt).toBe('In the beginning');
});

describe('a table of runs', () => {
  const run = (id: string, config: Partial<RunConfig>, seconds: number | null) => ({ ...newRun(id, { name: id, config: { ...defaultRun, ...config }, labels: { method: 'LORA', model: 'm', data: 'd' }, facts: { trainable: 110_976, peakBytes: 2e7, flopsPerStep: 1 } }), status: 'finished' as const, seconds });
  const log = new MetricLog();
  log.appendEval('a', 0, 5);
  log.appendEval('a', 10, 2.5);
  log.appendEval('a', 20, 2.75);
  const lossOf = (id: string) => log.evals(id).losses.at(-1) ?? null;
  const groups = groupRuns([run('a', {}, 61), run('b', { method: { slug: 'lora', fields: { rank: 4 } } }, null)], lossOf, true);
  const columns = columnsOf(groups, true, true);

  it('reads as people read it, and leaves empty what was not measured', () => {
    const [head, a, b] = textTable(rowsOf(groups, log, lossOf), columns) as [string[], string[], string[]];
    const at = (name: string, row: string[]) => row[head.indexOf(name)];
    expect([at('Val loss', a), at('Lowest', a), at('Parameters', a), at('Time', a), at('Δ equal params', a)]).toEqual(['2.750', '2.500', '110,976', '1:01', 'baseline']);
    expect([at('Val loss', b), at('Time', b), at('Tokens/s', b), at('rank', b)]).toEqual(['', '', '', '4']);
  });

  it('leaves for programs with every run in full', () => {
    const [head, a] = fullTable(groups, lossOf) as [string[], string[]];
    expect(a[head.indexOf('validation_loss')]).toBe('2.75');
    expect(a[head.indexOf('trainable')]).toBe('110976');
    expect(a[head.indexOf('seed')]).toBe('7');
  });
});
