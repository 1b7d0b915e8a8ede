// Where models, adapters and data come from on the command line: a folder, a file, or `hub:owner/name`.
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Columns, ROLES, type Role } from '../data/rows';
import type { DataFile } from '../data/table';
import { bringAll, bringModel, dataFiles, download, fileOf, HUB, type HubAccess, type HubPlace, hubName, lookUp, parseHubName } from '../formats/hub';
import type { ByteSource } from '../formats/safetensors';
import type { DataSource, ModelSource } from '../training/config';
import { HubError } from '../util/errors';
import { folderStore } from './file-store';
import { fileSource, folderSources, readData } from './files';
import { UsageError } from './options';
import { bytesText, type Output } from './output';

const PREFIX = 'hub:';
const place = (kind: HubPlace['kind'], path: string) => parseHubName(kind, path.slice(PREFIX.length));
export const isHub = (path: string): boolean => path.startsWith(PREFIX);
export const sourceOf = (path: string): ModelSource & DataSource => (isHub(path) ? { kind: 'hub', name: path.slice(PREFIX.length) } : ({ kind: 'file', name: path } as ModelSource & DataSource));
/** What an adapter calls the model it was trained on. */
export const baseName = (path: string): string => (isHub(path) ? place('model', path).repo : path);

/** The names that other tools of the Hub use too. */
function access(): HubAccess {
  const { HF_ENDPOINT, HF_TOKEN } = process.env;
  return { endpoint: HF_ENDPOINT?.replace(/\/+$/, '') || HUB, ...(HF_TOKEN ? { token: HF_TOKEN } : {}) };
}

const downloading = (output: Output) => (done: number, total: number) => output.progress(`downloading ${bytesText(done)} of ${bytesText(total)}`);

export async function modelSources(path: string, output: Output): Promise<Map<string, ByteSource>> {
  if (isHub(path)) {
    const repo = await lookUp(place('model', path), access());
    output.note(`model: ${hubName(repo.place)} at ${repo.commit.slice(0, 12)}`);
    return bringModel(repo, access(), folderStore(), { progress: downloading(output) });
  }
  const found = await stat(path).catch(() => null);
  if (!found?.isFile()) return folderSources(path);
  // A file stands for itself; the small texts beside it come along.
  const beside = await folderSources(dirname(path));
  const file = await fileSource(path);
  return new Map([...beside].filter(([name]) => name === file.name || name.endsWith('.json') || name.endsWith('.jinja')));
}

export async function adapterSources(path: string, output: Output): Promise<Map<string, ByteSource>> {
  if (!isHub(path)) return folderSources(path);
  const repo = await lookUp(place('model', path), access());
  const wanted = repo.files.filter((file) => /^adapter_(config\.json|model\.safetensors)$/.test(file.path));
  if (wanted.length < 2) throw new HubError(`${hubName(repo.place)}: adapter_config.json and adapter_model.safetensors are not both in it`, 'Choose the repository of a PEFT adapter in safetensors.');
  return bringAll(repo, wanted, access(), folderStore(), { progress: downloading(output) });
}

export async function dataSource(path: string, output: Output): Promise<DataFile> {
  if (!isHub(path)) return readData(path);
  const repo = await lookUp(place('dataset', path), access());
  const file = repo.place.path === null ? (dataFiles(repo)[0] as { path: string; size: number }) : fileOf(repo, repo.place.path);
  output.note(`data: ${file.path} of ${hubName({ ...repo.place, path: null })} at ${repo.commit.slice(0, 12)}`);
  const bytes = await download(repo, file, access(), folderStore(), { progress: downloading(output) });
  return { name: file.path, content: new Uint8Array(await bytes.read(0, bytes.size)) };
}

/** `prompt=question,completion=answer` */
export function columnsOf(verb: string, text: string | undefined): Columns {
  const entries = (text ?? '').split(',').filter((part) => part !== '').map((part) => {
    const at = part.indexOf('=');
    const role = part.slice(0, Math.max(0, at)).trim();
    if (!ROLES.includes(role as Role) || at + 1 === part.length) throw new UsageError(`${verb}: --columns wants role=column, got '${part}'; roles are ${ROLES.join(', ')}`);
    return [role, part.slice(at + 1)] as const;
  });
  return Object.fromEntries(entries);
}
