// The explorer's and the export's calls: one adapter is open at a time, and opening another closes it.
import type { Dataset } from '../data/dataset';
import type { Device } from '../engine/gpu/device';
import { readPeft } from '../formats/peft';
import { blobSource } from '../formats/safetensors';
import { deliver } from '../training/deliver';
import { Explorer } from '../training/explore';
import type { ExploreApi, ExploreSource, ExportRequest } from '../training/explore-card';
import { type TrainedModule, trainedModules } from '../training/export';
import type { BoundMethod } from '../training/contract';
import type { LoadedModel } from '../training/loaded';
import type { Run } from '../training/run';
import { overlapOf } from '../training/overlap';
import { taskCard } from '../training/tasks';
import { decompose } from '../training/truncate';
import { ConfigError } from '../util/errors';
import type { EngineEvent, ExportResult } from './protocol';

/** Heads that are trained whole have no ranks. */
function causal({ loaded }: Bench): void {
  if (!taskCard(loaded.task.kind).writes) throw new ConfigError(`${loaded.name}: adapters are cut for models that write text; this one's task is ${loaded.task.kind}`, 'Export writes its adapter with its head.');
}

/** A model with the data that a loss on it is measured with. */
export interface Bench {
  readonly loaded: LoadedModel;
  readonly baseName: string;
  readonly data: Dataset;
  readonly shape: readonly [number, number];
  readonly sample: { readonly maxTokens: number; readonly temperature: number; readonly seed: number };
}

export interface ExploreHost {
  device(): Device;
  run(id: string): { run: Run; bench: Bench; bound: BoundMethod };
  /** The model and data that are loaded now: for adapters out of files. */
  current(): Bench;
  tell(event: EngineEvent): void;
}

export interface Explored {
  readonly api: ExploreApi & { exportAs(request: ExportRequest): Promise<ExportResult> };
  /** Closes what is open on this model, whose weights are about to go. */
  closeFor(loaded: LoadedModel): Promise<void>;
  /** Forgets what is open, its device being lost. */
  drop(): void;
}

export function exploreCalls(host: ExploreHost): Explored {
  let open: { explorer: Explorer; bench: Bench } | null = null;
  const wantOpen = () => {
    if (!open) throw new ConfigError('no adapter is open', 'Open it again in Explore.');
    host.device();
    return open;
  };
  const standing = (id: string) => {
    const found = host.run(id);
    if (found.run.moving) throw new ConfigError('the run is still training: its numbers move while they are read', 'Pause or stop the run first.');
    return found;
  };
  const modulesOf = async (source: ExploreSource): Promise<{ name: string; bench: Bench; modules: TrainedModule[] }> => {
    const device = host.device();
    if (source.kind === 'run') {
      const { run, bench, bound } = standing(source.run);
      // What is not whole as a LoRA would be shown in part only.
      if (!bound.method.info.exports.startsWith('lora')) throw new ConfigError(`${bound.method.info.name}: its adapter is no LoRA, so it has no ranks to cut`, 'Its own pictures and Export show what there is.');
      causal(bench);
      return { name: source.run, bench, modules: await trainedModules(device, bench.loaded, run.attachment) };
    }
    const bench = host.current();
    causal(bench);
    const { modules } = await readPeft(new Map(source.files.map(({ name, file }) => [name, blobSource(name, file)])));
    return { name: source.name, bench, modules: modules.map((module) => ({ module })) };
  };
  const progress = (task: string, done: number, total: number) => host.tell({ kind: 'progress', task, done, total });

  const api: Explored['api'] = {
    async exploreOpen(source) {
      const { bench, modules } = await modulesOf(source);
      const { loaded, data, shape, sample } = bench;
      const before = open;
      const explorer = await Explorer.open({ device: host.device(), loaded, modules, batches: data.validation(), shape, chat: data.summary.format === 'rows', sample, progress });
      // The one before goes only now, so that an adapter that cannot be read loses nothing.
      open = { explorer, bench };
      await before?.explorer.dispose();
      return explorer.card;
    },
    async exploreEvaluate(cut) { return wantOpen().explorer.evaluate(cut); },
    async exploreTexts(cut, prompt) { return wantOpen().explorer.textsOf(cut, prompt); },
    async exploreDetail(module) { return wantOpen().explorer.detail(module); },
    async exploreWeights(module) { return wantOpen().explorer.weights(module); },
    async exploreImportance() { return wantOpen().explorer.importance(); },
    async exploreOverlap(other) {
      const { explorer } = wantOpen();
      const { name, modules } = await modulesOf(other);
      return { name, ...overlapOf(explorer.directions, modules.map(({ module }) => ({ site: module.name, svd: decompose(module) }))) };
    },
    async exploreCancel() { open?.explorer.cancel(); },

    async exportAs({ source, format, dtype }) {
      const device = host.device();
      const common = ({ loaded, baseName, data, shape }: Bench) => ({ device, loaded, baseModel: baseName, batch: data.validation()[0] ?? data.batch(0), shape, format, dtype });
      if (source.kind === 'run') {
        const { run, bench, bound } = standing(source.run);
        if (format === 'peft') {
          // In the form that its method names, which need not be a LoRA.
          const { folder, receipt } = await run.exportPeft(bench.baseName);
          return { files: folder.files, receipt };
        }
        const modules = format === 'merged' ? [] : (await trainedModules(device, bench.loaded, run.attachment)).map(({ module }) => module);
        return deliver({ ...common(bench), modules, adapters: run.attachment.adapters, bound });
      }
      const { explorer, bench } = wantOpen();
      return explorer.attached(source.cut, (adapters) => deliver({ ...common(bench), modules: explorer.modulesOf(source.cut), adapters }));
    },
  };
  return {
    api,
    async closeFor(loaded) {
      if (open?.bench.loaded !== loaded) return;
      const { explorer } = open;
      open = null;
      await explorer.dispose();
    },
    drop() {
      open = null;
    },
  };
}
