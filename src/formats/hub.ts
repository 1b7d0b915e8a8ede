// Files of a Hugging Face repository: found, measured, and brought over piece by piece. Listings come through @huggingface/hub;
// downloads are range requests of our own, so that a broken one goes on where it stopped, in this visit or in a later one.
import { datasetInfo, listFiles, modelInfo } from '@huggingface/hub';
import { HubError } from '../util/errors';
import { pacer, type Watch } from '../util/pace';
import { showList } from './fail';
import type { FileStore, PartFile } from './file-store';
import type { ByteSource } from './safetensors';

export const HUB = 'https://huggingface.co';

/** How the Hub is reached. The token lives here only: it is never written anywhere. */
export interface HubAccess {
  /** Its address, or that of a mirror. */
  readonly endpoint: string;
  readonly token?: string | undefined;
  readonly fetch?: typeof fetch | undefined;
  /** Milliseconds before the first retry; each later one waits twice as long. */
  readonly patience?: number | undefined;
}

export interface HubPlace { readonly kind: 'model' | 'dataset'; readonly repo: string; readonly revision: string; readonly path: string | null }
export interface HubFile { readonly path: string; readonly size: number }
export interface HubRepo {
  readonly place: HubPlace;
  /** What the revision points at now: files of a commit never change. */
  readonly commit: string;
  readonly gated: boolean;
  readonly files: readonly HubFile[];
}

/** `owner/name`, with `@revision` and `:path` where they are given. */
export function parseHubName(kind: HubPlace['kind'], name: string): HubPlace {
  const text = name.trim().replace(/^https?:\/\/huggingface\.co\//, '').replace(/^datasets\//, '').replace(/\/$/, '');
  const [, repo, revision, path] = /^([\w.-]+\/[\w.-]+|[\w.-]+)(?:@([^:@\s]+))?(?::([^\s].*))?$/.exec(text) ?? [];
  if (repo === undefined || /(^|\/)\.+($|\/)/.test(repo)) {
    throw new HubError(`${JSON.stringify(name)} is not the name of a repository`, `Write owner/name, such as ${kind === 'model' ? 'HuggingFaceTB/SmolLM2-135M' : 'roneneldan/TinyStories'}, with @revision and :file behind it where you need them.`);
  }
  if (path?.split('/').some((part) => part === '..' || part === '.' || part === '')) throw new HubError(`${JSON.stringify(path)} is not a file of a repository`, 'Write the path as the repository shows it.');
  return { kind, repo, revision: revision ?? 'main', path: path ?? null };
}

export const hubName = ({ repo, revision, path }: HubPlace): string => `${repo}${revision === 'main' ? '' : `@${revision}`}${path === null ? '' : `:${path}`}`;

/** The repository's commit and files. Nothing but lists is fetched. */
export async function lookUp(place: HubPlace, access: HubAccess, signal?: AbortSignal): Promise<HubRepo> {
  const { repo, revision, kind } = place;
  if (access.token !== undefined && !/^hf_\w+$/.test(access.token)) throw new HubError('the access token does not look like one of the Hub: those begin with hf_', 'Copy it again from huggingface.co/settings/tokens.');
  const shared = { hubUrl: access.endpoint, fetch: asking(place, access, signal), ...(access.token === undefined ? {} : { accessToken: access.token }) };
  const info = kind === 'model'
    ? await modelInfo({ name: repo, revision, additionalFields: ['sha'], ...shared })
    : await datasetInfo({ name: repo, revision, additionalFields: ['sha'], ...shared });
  const files: HubFile[] = [];
  for await (const { type, path, size } of listFiles({ repo: { type: kind, name: repo }, revision: info.sha, recursive: true, ...shared })) {
    if (type === 'file') files.push({ path, size });
  }
  return { place, commit: info.sha, gated: Boolean(info.gated), files };
}

/** The one file of that path. */
export function fileOf({ place, files }: HubRepo, path: string): HubFile {
  const found = files.find((file) => file.path === path);
  if (!found) throw new HubError(`${hubName(place)}: there is no file ${JSON.stringify(path)} in it: files seen: ${showList(files.map((file) => file.path))}`, 'Check the path.');
  return found;
}

/** A file read over the network, as far as it is asked for. */
export function remoteSource(repo: HubRepo, { path, size }: HubFile, access: HubAccess, signal?: AbortSignal): ByteSource {
  return {
    name: path,
    size,
    async read(begin, end) {
      if (end <= begin) return new Uint8Array();
      const response = await asking(repo.place, access, signal)(addressOf(repo, path, access), { headers: { range: `bytes=${begin}-${end - 1}`, ...authorisation(access) } });
      const bytes = new Uint8Array(await response.arrayBuffer());
      // A server that knows no ranges sends all of it.
      return response.status === 200 ? bytes.subarray(begin, end) : bytes;
    },
  };
}

const keyOf = ({ place: { kind, repo }, commit }: HubRepo, path: string): string => [`${kind}s--${repo.replace('/', '--')}`, commit, ...path.split('/')].join('/');

/** A file that is here already, or null. */
export const kept = (repo: HubRepo, { path }: HubFile, store: FileStore): Promise<ByteSource | null> => store.open(keyOf(repo, path));

/** Brings a file over, or takes the one that is here. A broken connection is taken up again where it broke. */
export async function download(repo: HubRepo, file: HubFile, access: HubAccess, store: FileStore, { progress, signal }: Watch = {}): Promise<ByteSource> {
  const here = await kept(repo, file, store);
  if (here?.size === file.size) return here;
  const part = await store.begin(keyOf(repo, file.path));
  try {
    const step = pacer({ progress, signal });
    if (part.size > file.size) await part.restart();
    for (let failures = 0; part.size < file.size; ) {
      const from = part.size;
      try {
        await stream(repo, file, access, part, signal, () => step(part.size, file.size));
      } catch (error) {
        if (signal?.aborted || error instanceof HubError || isFull(error)) throw error;
        // As long as something came, the connection is worth another try.
        failures = part.size > from ? 1 : failures + 1;
        if (failures > RETRIES) throw broken(`${hubName(repo.place)}: ${file.path}`, `${part.size} of ${file.size} bytes came`, error);
        await pause(access, failures, signal);
      }
    }
    progress?.(file.size, file.size);
    return await part.finish();
  } catch (error) {
    await part.close();
    throw isFull(error) ? new HubError(`${file.path}: there is no room to keep it: ${file.size} bytes`, 'Free storage for this site, or choose a smaller model.') : error;
  }
}

async function stream(repo: HubRepo, file: HubFile, access: HubAccess, part: PartFile, signal: AbortSignal | undefined, step: () => Promise<void>): Promise<void> {
  // Past the browser's own cache, which would keep a second copy and mend broken answers in ways of its own.
  const response = await asking(repo.place, access, signal)(addressOf(repo, file.path, access), { cache: 'no-store', headers: { range: `bytes=${part.size}-`, ...authorisation(access) } });
  const start = /^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '')?.[1];
  // All of it in place of the rest: begin again.
  if (part.size > 0 && Number(start ?? 0) !== part.size) await part.restart();
  if (!response.body) throw new TypeError('an answer without a body');
  for await (const chunk of response.body) {
    if (part.size + chunk.length > file.size) throw new HubError(`${hubName(repo.place)}: ${file.path}: more came than the ${file.size} bytes that the repository names`, 'Try again later; the repository may be changing.');
    await part.append(chunk);
    await step();
  }
  if (part.size < file.size) throw new TypeError('the connection ended early');
}

const authorisation = ({ token }: HubAccess): Record<string, string> => (token === undefined ? {} : { authorization: `Bearer ${token}` });

function addressOf({ place: { kind, repo }, commit }: HubRepo, path: string, { endpoint }: HubAccess): string {
  return `${endpoint}/${kind === 'dataset' ? 'datasets/' : ''}${repo}/resolve/${commit}/${path.split('/').map(encodeURIComponent).join('/')}`;
}

// ---- what can go wrong ----

const RETRIES = 4;
/** Seconds that a busy Hub may ask to wait before that becomes an error. */
const LONGEST_WAIT = 30;

const pause = ({ patience = 500 }: HubAccess, failures: number, signal: AbortSignal | undefined, least = 0): Promise<void> =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(done, Math.max(least, patience * 2 ** (failures - 1)));
    function done() {
      signal?.removeEventListener('abort', stop);
      resolve();
    }
    function stop() {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    }
    signal?.addEventListener('abort', stop, { once: true });
  });

/** fetch that waits out a busy or stumbling Hub, and turns every refusal into its own sentence. */
function asking(place: HubPlace, access: HubAccess, signal?: AbortSignal): typeof fetch {
  return async (input, init) => {
    for (let failures = 1; ; failures++) {
      signal?.throwIfAborted();
      let response: Response;
      try {
        response = await (access.fetch ?? fetch)(input, { ...init, ...(signal ? { signal } : {}) });
      } catch (error) {
        signal?.throwIfAborted();
        if (failures > RETRIES) throw broken(hubName(place), new URL(access.endpoint).host, error);
        await pause(access, failures, signal);
        continue;
      }
      if (response.ok) return response;
      const seconds = Number(response.headers.get('retry-after') ?? 0);
      const mayRetry = response.status === 429 ? seconds <= LONGEST_WAIT : response.status >= 500;
      if (!mayRetry || failures > RETRIES) throw await refusal(place, access, response, seconds);
      await pause(access, failures, signal, 1000 * seconds);
    }
  };
}

async function refusal(place: HubPlace, { token }: HubAccess, response: Response, seconds: number): Promise<HubError> {
  const name = hubName(place);
  const code = response.headers.get('x-error-code') ?? '';
  const said = await response.text().then((text) => /"error"\s*:\s*"([^"]{1,200})"/.exec(text)?.[1] ?? '', () => '');
  const what = place.kind === 'model' ? 'model' : 'data set';
  if (code === 'GatedRepo' || /gated|restricted/i.test(said)) {
    return token === undefined
      ? new HubError(`${name}: this ${what} is gated: the Hub wants to know who asks`, `Accept its conditions on huggingface.co/${place.repo}, then give an access token here.`)
      : new HubError(`${name}: this ${what} is gated, and the owner of this token may not read it yet`, `Accept its conditions on huggingface.co/${place.repo}; some owners answer by hand.`);
  }
  if (response.status === 401 && token !== undefined) return new HubError(`${name}: the Hub does not accept the access token`, 'It may have expired or been revoked: make a new one, with the right to read this repository.');
  if (code === 'RevisionNotFound') return new HubError(`${name}: there is no revision ${JSON.stringify(place.revision)}`, 'Check the branch, tag or commit after the @.');
  if (code === 'EntryNotFound') return new HubError(`${name}: the file is not there any more`, 'Look the repository up again.');
  if (response.status === 401) return new HubError(`${name}: there is no such ${what} that everyone may read`, 'Check the spelling. A private one needs an access token.');
  if (response.status === 403) return new HubError(`${name}: the Hub refuses: ${said || 'forbidden'}`, token === undefined ? 'A private or gated repository needs an access token.' : 'Give the token the right to read this repository.');
  if (response.status === 404) return new HubError(`${name}: there is no such ${what}`, `Check the spelling: owner/name, in upper and lower case as on the page of the ${what}.`);
  if (response.status === 416) return new HubError(`${name}: the Hub has fewer bytes than it said`, 'The repository has changed: look it up again.');
  if (response.status === 429) return new HubError(`${name}: the Hub is asked too often from here`, seconds > 0 ? `It wants ${seconds} seconds of rest; an access token raises the limit.` : 'Wait some minutes; an access token raises the limit.');
  if (response.status >= 500) return new HubError(`${name}: the Hub has trouble: it answers ${response.status}${said ? `, ${said}` : ''}, ${RETRIES + 1} times in a row`, 'Try again later; what was downloaded is kept.');
  return new HubError(`${name}: the Hub answers ${response.status}${said ? `, ${said}` : ''}`, 'Check the name and try again.');
}

function broken(where: string, got: string, error: unknown): HubError {
  return new HubError(`${where}: the connection broke: ${got}: ${error instanceof Error ? error.message : String(error)}`, 'Check the connection and try again: it goes on where it stopped.');
}

const isFull = (error: unknown): boolean => error instanceof Error && (error.name === 'QuotaExceededError' || /ENOSPC/.test(error.message));

// ---- which files ----

/** Ends of files that src/data reads. */
const DATA_FILE = /\.(txt|md|jsonl|ndjson|json|csv|tsv|parquet|zip)$/i;
const SMALL = ['config.json', 'preprocessor_config.json', 'tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja', 'model.safetensors.index.json'];

/** The files that make up the model: its small texts, and its weights in one file, in shards or as GGUF. */
export function modelFiles(repo: HubRepo): { texts: HubFile[]; weights: HubFile[] } {
  const { place, files } = repo;
  const name = hubName(place);
  const seen = `files seen: ${showList(files.map((file) => file.path))}`;
  if (place.path !== null) {
    if (!place.path.endsWith('.gguf')) throw new HubError(`${name}: only a .gguf file stands for a model by itself`, 'Leave the path out to take the whole repository.');
    return { texts: [], weights: [fileOf(repo, place.path)] };
  }
  const has = (path: string) => files.find((file) => file.path === path);
  const texts = SMALL.flatMap((path) => has(path) ?? []);
  const single = has('model.safetensors');
  if (single) return { texts: texts.filter(({ path }) => path !== 'model.safetensors.index.json'), weights: [single] };
  const shards = files.filter(({ path }) => /^model-\d+-of-\d+\.safetensors$/.test(path));
  if (has('model.safetensors.index.json') && shards.length > 0) return { texts, weights: shards };
  const gguf = files.filter(({ path }) => path.endsWith('.gguf'));
  if (gguf.length === 1) return { texts: [], weights: gguf };
  if (gguf.length > 1) throw new HubError(`${name}: there are several GGUF files: ${showList(gguf.map(({ path }) => path))}`, `Name one: ${name}:${gguf[0]?.path}`);
  if (has('adapter_config.json')) throw new HubError(`${name}: this is an adapter, not a model`, 'Load its base model first, then add the adapter.');
  if (files.some(({ path }) => /\.(bin|pt|pth|ckpt)$/.test(path))) throw new HubError(`${name}: the weights are pickled, which is not read here: ${seen}`, 'Look for a repository, or a revision, with model.safetensors.');
  throw new HubError(`${name}: there is no model.safetensors and no GGUF file in it: ${seen}`, 'Choose the repository of a model.');
}

/** The files that can be read as data, those for training first. */
export function dataFiles({ place, files }: HubRepo): HubFile[] {
  const readable = files.filter(({ path }) => DATA_FILE.test(path) && !/(^|\/)(README|LICENSE|NOTICE)|(^|\/)(dataset_infos?|config)\.json$/i.test(path));
  if (readable.length === 0) throw new HubError(`${hubName(place)}: there is no file in it that is read here: files seen: ${showList(files.map((file) => file.path))}`, 'Files read here: .txt, .md, .jsonl, .json, .csv, .tsv, .parquet, and a .zip of pictures.');
  const rank = ({ path }: HubFile) => (/train/i.test(path) ? 0 : /test|valid|dev/i.test(path) ? 2 : 1);
  return readable.map((file, i) => ({ file, i })).sort((a, b) => rank(a.file) - rank(b.file) || a.i - b.i).map(({ file }) => file);
}

/** All files of the model, here: its texts first, then its weights. Names as in the repository. */
export async function bringModel(repo: HubRepo, access: HubAccess, store: FileStore, watch: Watch = {}): Promise<Map<string, ByteSource>> {
  const { texts, weights } = modelFiles(repo);
  return bringAll(repo, [...texts, ...weights], access, store, watch);
}

export async function bringAll(repo: HubRepo, files: readonly HubFile[], access: HubAccess, store: FileStore, { progress, signal }: Watch = {}): Promise<Map<string, ByteSource>> {
  const total = files.reduce((sum, file) => sum + file.size, 0);
  const found = new Map<string, ByteSource>();
  let before = 0;
  for (const file of files) {
    found.set(file.path, await download(repo, file, access, store, { signal, progress: (done) => progress?.(before + done, total) }));
    before += file.size;
  }
  return found;
}

/** The model as far as it can be known before its weights are here: they are read over the network, header only unless more is asked for. */
export async function peekModel(repo: HubRepo, access: HubAccess, store: FileStore, signal?: AbortSignal): Promise<Map<string, ByteSource>> {
  const { texts, weights } = modelFiles(repo);
  const found = await bringAll(repo, texts, access, store, { signal });
  for (const file of weights) found.set(file.path, (await kept(repo, file, store)) ?? remoteSource(repo, file, access, signal));
  return found;
}
