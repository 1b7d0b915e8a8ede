// The Hub's interface as a server on this machine speaks it: what is asked, what is kept, and what each refusal becomes.
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type MockHub, startHub } from '../../e2e/support/mock-hub.mjs';
import { folderStore } from '../cli/file-store';
import { describeModel } from '../training/loaded';
import { HubError } from '../util/errors';
import { openHfFolder } from './hf-folder';
import { type FileStore, memoryStore } from './file-store';
import { bringModel, dataFiles, download, fileOf, type HubAccess, lookUp, modelFiles, parseHubName, peekModel, remoteSource } from './hub';

const MODEL = join(import.meta.dirname, '../../public/models/tale-1m');
const model = Object.fromEntries(readdirSync(MODEL).map((name) => [name, new Uint8Array(readFileSync(join(MODEL, name)))]));
const text = (content: string) => new TextEncoder().encode(content);
/** Comparing megabytes element by element is for no one. */
const same = (a: Uint8Array, b: Uint8Array | undefined) => b !== undefined && Buffer.compare(a, b) === 0;
const noise = Uint8Array.from({ length: 300_000 }, (_, i) => (i * 7919) % 251);

let hub: MockHub;
let access: HubAccess;
const folder = mkdtempSync(join(tmpdir(), 'lowrank-hub-'));
beforeAll(async () => {
  hub = await startHub({
    repos: {
      'tales/tale-1m': { commit: 'c0ffee', files: model, revisions: ['v1'] },
      'tales/poems': { kind: 'dataset', commit: 'd00d', files: { 'README.md': text('# poems'), 'test.csv': text('text\nx\n'), 'data/train-00000.jsonl': noise, 'dataset_infos.json': text('{}') } },
      'tales/closed': { commit: 'cafe', files: model, gated: true, accepted: 'hf_good' },
      'tales/private': { commit: 'cafe', files: model, token: 'hf_good' },
      'tales/pickles': { commit: 'cafe', files: { 'config.json': text('{}'), 'pytorch_model.bin': text('x') } },
      'tales/adapter': { commit: 'cafe', files: { 'adapter_config.json': text('{}'), 'adapter_model.safetensors': text('x') } },
      'tales/quants': { commit: 'cafe', files: { 'a.Q4_0.gguf': text('x'), 'a.Q8_0.gguf': text('x') } },
      'tales/pictures': { kind: 'dataset', commit: 'cafe', files: { 'a.png': text('x') } },
    },
  });
  access = { endpoint: hub.url, patience: 1 };
});
afterAll(async () => {
  await hub.close();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => {
  hub.log.length = 0;
  hub.faults.length = 0;
});

const stores: [string, () => FileStore][] = [['in memory', memoryStore], ['in a folder', () => folderStore(mkdtempSync(join(folder, 's-')))]];
const look = (kind: 'model' | 'dataset', name: string, more: Partial<HubAccess> = {}) => lookUp(parseHubName(kind, name), { ...access, ...more });
async function refusal(work: Promise<unknown>): Promise<string> {
  const error = await work.then(() => { throw new Error('was not refused'); }, (e: unknown) => e);
  expect(error).toBeInstanceOf(HubError);
  expect((error as HubError).hint).not.toBe('');
  return `${(error as HubError).message}; ${(error as HubError).hint}`;
}
const bytesOf = async (store: FileStore, more: Partial<HubAccess> = {}) => {
  const repo = await look('dataset', 'tales/poems');
  const source = await download(repo, fileOf(repo, 'data/train-00000.jsonl'), { ...access, ...more }, store);
  return source.read(0, source.size);
};

describe('names', () => {
  it('have an owner, and may have a revision and a path', () => {
    expect(parseHubName('model', ' https://huggingface.co/a/b-1.0 ')).toEqual({ kind: 'model', repo: 'a/b-1.0', revision: 'main', path: null });
    expect(parseHubName('dataset', 'datasets/a/b@v1:data/x y.csv')).toEqual({ kind: 'dataset', repo: 'a/b', revision: 'v1', path: 'data/x y.csv' });
    expect(parseHubName('model', 'gpt2')).toMatchObject({ repo: 'gpt2' });
  });
  it.each(['', 'a b', 'a/b/c', '../b', 'a/..', 'a/b:../../x', 'a/b:', 'a/b@'])('%j is refused', (name) => {
    expect(() => parseHubName('model', name)).toThrow(HubError);
  });
  it('of any kind are taken apart or refused, nothing else', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (name) => {
      try {
        expect(parseHubName('model', name).repo).toMatch(/^[\w.-]+(\/[\w.-]+)?$/);
      } catch (error) {
        expect(error).toBeInstanceOf(HubError);
      }
    }));
  });
});

describe('a model', () => {
  it('is found with all its files, over both pages of the list', async () => {
    const repo = await look('model', 'tales/tale-1m@v1');
    expect(repo.commit).toBe('c0ffee');
    expect(Object.fromEntries(repo.files.map(({ path, size }) => [path, size]))).toEqual(Object.fromEntries(Object.entries(model).map(([path, bytes]) => [path, bytes.length])));
    expect(modelFiles(repo).weights.map(({ path }) => path)).toEqual(['model.safetensors']);
  });

  it('is described before its weights are fetched: only their header comes over', async () => {
    const repo = await look('model', 'tales/tale-1m');
    hub.log.length = 0;
    const loaded = describeModel('tale', await openHfFolder(await peekModel(repo, access, memoryStore())));
    expect(loaded.network.parameters).toBe(1_613_440);
    const weights = hub.log.filter((line) => line.startsWith('cdn GET') && line.includes('model.safetensors'));
    expect(weights[0]).toMatch(/bytes=0-7$/);
    const asked = weights.reduce((sum, line) => sum + 1 + Number(/-(\d+)$/.exec(line)?.[1]) - Number(/=(\d+)-/.exec(line)?.[1]), 0);
    expect(asked).toBeLessThan(0.01 * (model['model.safetensors'] as Uint8Array).length);
  });

  it.each(stores)('comes over whole, is kept %s, and is not asked for again', async (_, makeStore) => {
    const store = makeStore();
    const repo = await look('model', 'tales/tale-1m');
    const progress: number[] = [];
    const files = await bringModel(repo, access, store, { progress: (done, total) => progress.push(done / total) });
    for (const [path, source] of files) expect(same(await source.read(0, source.size), model[path]), path).toBe(true);
    expect(progress.at(-1)).toBe(1);
    expect(progress).toEqual([...progress].sort((a, b) => a - b));
    hub.log.length = 0;
    await bringModel(repo, access, store);
    expect(hub.log).toEqual([]);
  });
});

describe('a broken connection', () => {
  it.each(stores)('is taken up where it broke, %s', async (_, makeStore) => {
    hub.faults.push({ match: /lfs/, cutAfter: 100_000 }, { match: /lfs/, cutAfter: 50_000 });
    expect(same(await bytesOf(makeStore()), noise)).toBe(true);
    const ranges = hub.log.filter((line) => line.startsWith('cdn')).map((line) => Number(/bytes=(\d+)-/.exec(line)?.[1]));
    expect(ranges).toHaveLength(3);
    expect(ranges[0]).toBe(0);
    expect(ranges[1]).toBeGreaterThan(0);
    expect(ranges[2]).toBeGreaterThan(ranges[1] as number);
  });

  it('that does not come back is said, and a later try goes on from there', async () => {
    const store = folderStore(mkdtempSync(join(folder, 's-')));
    hub.faults.push({ match: /lfs/, cutAfter: 120_000 }, { match: /lfs/, times: 99, cutAfter: 0 });
    const said = await refusal(bytesOf(store));
    expect(said).toMatch(/^tales\/poems: data\/train-00000\.jsonl: the connection broke: \d+ of 300000 bytes came: .*; Check the connection and try again: it goes on where it stopped\.$/);
    const had = Number(/(\d+) of/.exec(said)?.[1]);
    expect(had).toBeGreaterThan(0);
    hub.faults.length = 0;
    hub.log.length = 0;
    expect(same(await bytesOf(store), noise)).toBe(true);
    expect(hub.log.find((line) => line.startsWith('cdn'))).toContain(`bytes=${had}-`);
  });

  it('a server without ranges sends all of it, and the file is right', async () => {
    hub.faults.push({ match: /lfs/, cutAfter: 90_000 }, { match: /lfs/, whole: true });
    expect(same(await bytesOf(memoryStore()), noise)).toBe(true);
    const repo = await look('dataset', 'tales/poems');
    hub.faults.push({ match: /lfs/, whole: true });
    expect(await remoteSource(repo, fileOf(repo, 'data/train-00000.jsonl'), access).read(10, 20)).toEqual(noise.subarray(10, 20));
  });

  it('no Hub at all', async () => {
    expect(await refusal(look('model', 'tales/tale-1m', { endpoint: 'http://127.0.0.1:9' }))).toMatch(/^tales\/tale-1m: the connection broke: 127\.0\.0\.1:9: .*; Check the connection/);
  });

  it('no room to keep it is said at once, and what came is gone on from', async () => {
    const whole = memoryStore();
    let room = 100_000;
    const full: FileStore = {
      open: (key) => whole.open(key),
      begin: async (key) => {
        const part = await whole.begin(key);
        return { get size() { return part.size; }, restart: () => part.restart(), close: () => part.close(), finish: () => part.finish(), append: async (bytes) => {
          if (part.size + bytes.length > room) throw new DOMException('The quota has been exceeded.', 'QuotaExceededError');
          await part.append(bytes);
        } };
      },
    };
    expect(await refusal(bytesOf(full))).toBe('data/train-00000.jsonl: there is no room to keep it: 300000 bytes; Free storage for this site, or choose a smaller model.');
    expect(hub.log.filter((line) => line.startsWith('cdn'))).toHaveLength(1);
    room = Number.POSITIVE_INFINITY;
    expect(same(await bytesOf(full), noise)).toBe(true);
  });

  it('a file that is gone, or shorter than it was, is said', async () => {
    hub.faults.push({ match: /resolve/, times: 9, status: 404, headers: { 'x-error-code': 'EntryNotFound' } });
    expect(await refusal(bytesOf(memoryStore()))).toMatch(/^tales\/poems: the file is not there any more; Look the repository up again\.$/);
    hub.faults.length = 0;
    hub.faults.push({ match: /lfs/, times: 9, status: 416 });
    expect(await refusal(bytesOf(memoryStore()))).toMatch(/^tales\/poems: the Hub has fewer bytes than it said; The repository has changed: look it up again\.$/);
  });

  it('stops when told to, and keeps what came', async () => {
    const place = mkdtempSync(join(folder, 's-'));
    const stop = new AbortController();
    const repo = await look('dataset', 'tales/poems');
    hub.faults.push({ match: /lfs/, cutAfter: 200_000 });
    setTimeout(() => stop.abort(), 150);
    await expect(download(repo, fileOf(repo, 'data/train-00000.jsonl'), { ...access, patience: 10_000 }, folderStore(place), { signal: stop.signal })).rejects.toThrow(/abort/i);
    const part = readdirSync(place, { recursive: true }).map(String).find((name) => name.endsWith('.part')) as string;
    expect(statSync(join(place, part)).size).toBeGreaterThan(0);
  });
});

describe('what the Hub refuses', () => {
  it.each<[string, () => Promise<unknown>, string]>([
    ['nobody’s name', () => look('model', 'tales/nothing'), 'tales/nothing: there is no such model that everyone may read; Check the spelling. A private one needs an access token.'],
    ['nobody’s name, with a token', () => look('dataset', 'tales/nothing', { token: 'hf_good' }), 'tales/nothing: there is no such data set; Check the spelling: owner/name, in upper and lower case as on the page of the data set.'],
    ['a private one', () => look('model', 'tales/private'), 'tales/private: there is no such model that everyone may read; Check the spelling. A private one needs an access token.'],
    ['a revision', () => look('model', 'tales/tale-1m@v9'), 'tales/tale-1m@v9: there is no revision "v9"; Check the branch, tag or commit after the @.'],
    ['a token of another kind', () => look('model', 'tales/tale-1m', { token: 'sk-1' }), 'the access token does not look like one of the Hub: those begin with hf_; Copy it again from huggingface.co/settings/tokens.'],
    ['a token that has expired', () => look('model', 'tales/tale-1m', { token: 'hf_old' }), 'tales/tale-1m: the Hub does not accept the access token; It may have expired or been revoked: make a new one, with the right to read this repository.'],
    ['a gated model', async () => peekModel(await look('model', 'tales/closed'), access, memoryStore()), 'tales/closed: this model is gated: the Hub wants to know who asks; Accept its conditions on huggingface.co/tales/closed, then give an access token here.'],
    ['a gated model, to someone else', async () => peekModel(await look('model', 'tales/closed'), { ...access, token: 'hf_other' }, memoryStore()), 'tales/closed: this model is gated, and the owner of this token may not read it yet; Accept its conditions on huggingface.co/tales/closed; some owners answer by hand.'],
    ['a file that is not in the list', async () => fileOf(await look('dataset', 'tales/poems'), 'gone.csv'), 'tales/poems: there is no file "gone.csv" in it: files seen: README.md, test.csv, data/train-00000.jsonl, dataset_infos.json; Check the path.'],
    ['pickles', async () => modelFiles(await look('model', 'tales/pickles')), 'tales/pickles: the weights are pickled, which is not read here: files seen: config.json, pytorch_model.bin; Look for a repository, or a revision, with model.safetensors.'],
    ['an adapter', async () => modelFiles(await look('model', 'tales/adapter')), 'tales/adapter: this is an adapter, not a model; Load its base model first, then add the adapter.'],
    ['several GGUF files', async () => modelFiles(await look('model', 'tales/quants')), 'tales/quants: there are several GGUF files: a.Q4_0.gguf, a.Q8_0.gguf; Name one: tales/quants:a.Q4_0.gguf'],
    ['a data set of pictures', async () => dataFiles(await look('dataset', 'tales/pictures')), 'tales/pictures: there is no file in it that is read here: files seen: a.png; Files read here: .txt, .md, .jsonl, .json, .csv, .tsv, .parquet, and a .zip of pictures.'],
  ])('%s', async (_, work, message) => {
    expect(await refusal(work())).toBe(message);
  });

  it('a gated model comes with the token of someone who may, and no token reaches the second server', async () => {
    const files = await bringModel(await look('model', 'tales/closed', { token: 'hf_good' }), { ...access, token: 'hf_good' }, memoryStore());
    expect((await (files.get('model.safetensors'))?.read(0, 8))?.length).toBe(8);
  });

  it('a busy Hub is waited for, up to a point', async () => {
    hub.faults.push({ match: /api/, status: 429, headers: { 'retry-after': '0' } });
    expect((await look('model', 'tales/tale-1m')).commit).toBe('c0ffee');
    hub.faults.push({ match: /api/, status: 429, headers: { 'retry-after': '3600' } });
    expect(await refusal(look('model', 'tales/tale-1m'))).toBe('tales/tale-1m: the Hub is asked too often from here; It wants 3600 seconds of rest; an access token raises the limit.');
    hub.faults.push({ match: /api/, status: 429, times: 99 });
    expect(await refusal(look('model', 'tales/tale-1m'))).toContain('Wait some minutes');
  });

  it('a stumbling Hub is asked again, up to a point', async () => {
    hub.faults.push({ match: /api/, status: 503 }, { match: /api/, status: 500 });
    expect((await look('model', 'tales/tale-1m')).commit).toBe('c0ffee');
    hub.faults.push({ match: /api/, status: 502, times: 99 });
    expect(await refusal(look('model', 'tales/tale-1m'))).toBe('tales/tale-1m: the Hub has trouble: it answers 502, trouble, 5 times in a row; Try again later; what was downloaded is kept.');
  });

  it('a longer file than the list says', async () => {
    const repo = await look('dataset', 'tales/poems');
    const short = { path: 'data/train-00000.jsonl', size: 1000 };
    expect(await refusal(download(repo, short, access, memoryStore()))).toContain('more came than the 1000 bytes');
  });
});

it('of a data set, the files for training come first and what is no data stays out', async () => {
  expect(dataFiles(await look('dataset', 'tales/poems')).map(({ path }) => path)).toEqual(['data/train-00000.jsonl', 'test.csv']);
});
