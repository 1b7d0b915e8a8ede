// Files that the page makes by itself: the run report and the project for a cluster. Kept with size and hash.
import { create } from 'zustand';
import { DATA_ENDINGS, type ExportFile, type ExportRequest } from '../../store/contract';
import type { StudioApp } from '../../store/app';
import { exportKey } from '../../store/slices/artifacts';
import type { RunRecord } from '../../store/slices/runs';
import { lastValidation } from '../shell/run-view';
import { clusterProject } from './cluster';
import { reportOf } from './report';

export interface PageFiles {
  status: 'writing' | 'ready' | 'failed';
  /** Step of the run when they were made. */
  step: number;
  files: readonly ExportFile[];
  /** Of the file named. */
  hash: { name: string; bytes: number; sha256: string } | null;
  /** What to know before one uses them, whole sentences. */
  notes: readonly string[];
  error: string | null;
}

export const usePageFiles = create<{ made: Readonly<Record<string, PageFiles>> }>(() => ({ made: {} }));

export const pageKey = (run: string, kind: 'report' | 'cluster') => `${kind} ${run}`;

async function keep(run: RunRecord, kind: 'report' | 'cluster', make: () => Promise<{ files: ExportFile[]; main: string; notes: string[] }>): Promise<void> {
  const put = (value: PageFiles) => usePageFiles.setState(({ made }) => ({ made: { ...made, [pageKey(run.id, kind)]: value } }));
  const empty: PageFiles = { status: 'writing', step: run.step, files: [], hash: null, notes: [], error: null };
  put(empty);
  try {
    const { files, main, notes } = await make();
    const { bytes } = files.find((file) => file.name === main) as ExportFile;
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>));
    put({ ...empty, status: 'ready', files, notes, hash: { name: main, bytes: bytes.length, sha256: Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('') } });
  } catch (error) {
    put({ ...empty, status: 'failed', error: error instanceof Error ? error.message : String(error) });
  }
}

export function makeReport({ log, store, explore }: StudioApp, run: RunRecord): Promise<void> {
  return keep(run, 'report', async () => {
    const { engine, artifacts, project } = store.getState();
    const session = explore.store.getState();
    const receipts = Object.entries(artifacts.exports).flatMap(([key, record]) => {
      const [source, format] = JSON.parse(key) as [ExportRequest['source'], string];
      return source.kind === 'run' && source.run === run.id && record.result && record.step === run.step ? [{ format, receipt: record.result.receipt }] : [];
    });
    const html = reportOf({
      run, series: log.series(run.id).map((name) => ({ name, values: Array.from(log.column(run.id, name)) })), evals: log.evals(run.id), device: engine.device, model: project.model.card,
      method: engine.methods.find((method) => method.slug === run.config.method.slug) ?? null, receipts, curve: session.source?.run === run.id && session.source.step === run.step ? session.points : null,
    });
    const name = `${run.name}-report.html`;
    return { files: [{ name, bytes: new TextEncoder().encode(html) }], main: name, notes: [] };
  });
}

export function makeCluster(app: StudioApp, run: RunRecord): Promise<void> {
  return keep(run, 'cluster', async () => {
    const request: ExportRequest = { source: { kind: 'run', run: run.id }, format: 'peft', dtype: 'F32' };
    await app.ask.exportAs(request, run.id);
    const record = app.store.getState().artifacts.exports[exportKey(request)];
    if (!record?.result) throw new Error([record?.error?.message, record?.error?.hint].filter(Boolean).join(' ') || 'The adapter could not be written.');
    return clusterProject({ run, adapter: record.result.files, base: await baseFiles(run), data: await dataFile(app, run), validation: lastValidation(app.log, run.id) });
  });
}

const BASE_FILES = ['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json', 'chat_template.jinja', 'model.safetensors'];

/** A built-in model goes along: nobody else has it. Empty for the user's own folder. */
async function baseFiles({ config: { model } }: RunRecord): Promise<ExportFile[]> {
  if (model.kind !== 'builtin') return [];
  return Promise.all(BASE_FILES.map(async (name) => ({ name, bytes: await fetched(`models/${model.id}/${name}`) })));
}

async function dataFile({ store, vault }: StudioApp, { config: { data } }: RunRecord): Promise<ExportFile | null> {
  if (data.kind !== 'builtin') {
    // What came from the Hub is fetched from there.
    const file = data.kind === 'file' ? vault.file(data.name) : undefined;
    // A folder is the user's to carry.
    return !(file instanceof Blob) ? null : { name: data.name.split('/').at(-1) as string, bytes: new Uint8Array(await file.arrayBuffer()) };
  }
  const ending = DATA_ENDINGS[store.getState().engine.data.find((entry) => entry.id === data.id)?.format ?? 'text'];
  return { name: `${data.id}.${ending}`, bytes: await fetched(`data/${data.id}/data.${ending}`) };
}

async function fetched(path: string): Promise<Uint8Array> {
  const response = await fetch(new URL(`${import.meta.env.BASE_URL}${path}`, location.href));
  if (!response.ok) throw new Error(`${path}: the server answered ${response.status}. Reload the page.`);
  return new Uint8Array(await response.arrayBuffer());
}
