// Where models and data come from on the page: built in, files of the user, a repository of the Hub.
import type { DataFile } from '../data/table';
import type { FileStore } from '../formats/file-store';
import type { HubAccess, HubRepo } from '../formats/hub';
import { openHfFolder } from '../formats/hf-folder';
import { blobSource, type ByteSource } from '../formats/safetensors';
import { describeModel, type LoadedModel } from '../training/loaded';
import { DataError, toFailure } from '../util/errors';
import type { Watch } from '../util/pace';
import { builtinData, type Catalogue, fetchModel } from './builtin';
import type { DataSource, HubCard, HubSettings, ModelSource, NamedFile, Plan } from './protocol';

export interface Sources {
  setHub(settings: HubSettings): void;
  lookUp(kind: HubCard['kind'], name: string, planFor: (loaded: LoadedModel) => Plan): Promise<HubCard>;
  /** The files of a model, and what an adapter calls it. */
  model(source: ModelSource, files: NamedFile[] | undefined, catalogue: Catalogue, watch: Watch): Promise<{ name: string; baseName: string; files: Map<string, ByteSource> }>;
  data(source: DataSource, file: Blob | NamedFile[] | undefined, catalogue: Catalogue, watch: Watch): Promise<DataFile>;
}

/** Fetched when the Hub is first asked for. */
const hubCode = () => import('../formats/hub');
const HUB = 'https://huggingface.co';

export function createSources(openStore: () => Promise<FileStore>): Sources {
  let access: HubAccess = { endpoint: HUB };
  let opened: Promise<FileStore> | undefined;
  const store = () => (opened ??= openStore());

  const card = async (repo: HubRepo, files: HubCard['files']): Promise<HubCard> => {
    const { hubName, kept } = await hubCode();
    const keptHere = await store();
    let here = 0;
    for (const file of files) if (await kept(repo, file, keptHere)) here += file.size;
    const { quota, usage } = await navigator.storage.estimate().catch((): StorageEstimate => ({}));
    const { place, commit, gated } = repo;
    return { kind: place.kind, name: hubName(place), commit, gated, files, here, ...(quota === undefined || usage === undefined ? {} : { room: quota - usage }) };
  };

  return {
    setHub({ endpoint, token }) {
      access = { endpoint: endpoint.trim().replace(/\/+$/, '') || HUB, ...(token.trim() === '' ? {} : { token: token.trim() }) };
    },

    async lookUp(kind, name, planFor) {
      const { dataFiles, fileOf, lookUp, modelFiles, parseHubName, peekModel } = await hubCode();
      const repo = await lookUp(parseHubName(kind, name), access);
      if (kind === 'dataset') return card(repo, repo.place.path === null ? dataFiles(repo) : [fileOf(repo, repo.place.path)]);
      const { texts, weights } = modelFiles(repo);
      const found = await card(repo, [...texts, ...weights].map(({ path, size }) => ({ path, size })));
      try {
        const loaded = describeModel(found.name, await openHfFolder(await peekModel(repo, access, await store())));
        const { peakBytes, problem } = planFor(loaded);
        const { model, task, info, network, dtype } = loaded;
        return { ...found, model: { architecture: model.classes[task.kind] ?? model.id, parameters: network.parameters, layers: info.layers, context: info.context, dtype, peakBytes, ...(problem ? { problem } : {}) } };
      } catch (error) {
        return { ...found, failure: toFailure(error) };
      }
    },

    async model(source, files, catalogue, { progress, signal }) {
      if (source.kind === 'builtin') return { name: source.id, baseName: source.id, files: await fetchModel(catalogue, source.id, progress ?? (() => {}), signal) };
      if (source.kind === 'files') return { name: source.name, baseName: source.name, files: new Map((files ?? []).map(({ name, file }) => [name, blobSource(name, file)])) };
      const { bringModel, hubName, lookUp, parseHubName } = await hubCode();
      const repo = await lookUp(parseHubName('model', source.name), access, signal);
      return { name: hubName(repo.place), baseName: repo.place.repo, files: await bringModel(repo, access, await store(), { progress, signal }) };
    },

    async data(source, file, catalogue, { progress, signal }) {
      if (source.kind === 'builtin') return builtinData(catalogue, source.id, progress);
      if (source.kind === 'file') {
        if (!file) throw new DataError(`${source.name}: its bytes are not here any more`, 'Choose the file again.');
        if (Array.isArray(file)) return { name: source.name, content: new Uint8Array(), files: file.map(({ name, file: blob }) => ({ name, read: async () => new Uint8Array(await blob.arrayBuffer()) })) };
        return { name: source.name, content: new Uint8Array(await file.arrayBuffer()) };
      }
      const { dataFiles, download, fileOf, lookUp, parseHubName } = await hubCode();
      const repo = await lookUp(parseHubName('dataset', source.name), access, signal);
      const wanted = repo.place.path === null ? (dataFiles(repo)[0] as { path: string; size: number }) : fileOf(repo, repo.place.path);
      const bytes = await download(repo, wanted, access, await store(), { progress, signal });
      return { name: wanted.path, content: new Uint8Array(await bytes.read(0, bytes.size)) };
    },
  };
}
