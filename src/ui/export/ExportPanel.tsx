// From adapter to files: written, read back, compared, then saved.
import { Download, FolderDown } from 'lucide-react';
import { RadioGroup, Tabs } from 'radix-ui';
import { useMemo, useState } from 'react';
import { toast } from 'sonner';
import type { Cut, ExportDtype, ExportFile, ExportRequest, ExportResult, Failure } from '../../store/contract';
import { cutOf, isPlain, most, sizeOf } from '../../store/explore';
import { exportKey } from '../../store/slices/artifacts';
import { isActive, type RunRecord } from '../../store/slices/runs';
import { useApp, useSelectedRun, useStudio } from '../context';
import { CopyButton } from '../controls/CopyLine';
import { FailureBanner } from '../controls/FailureBanner';
import { Icon } from '../controls/Icon';
import { Segmented } from '../controls/Segmented';
import { SelectBox } from '../controls/SelectBox';
import { useExplore } from '../explore/use-explore';
import { bytes, count, loss } from '../format';
import { lastValidation } from '../shell/run-view';
import { strings } from '../strings';
import { EmptyPanel } from '../train/EmptyPanel';
import { type Choice, useExportChoice } from './export-choice';
import { PageReceipt, Receipt } from './Receipt';
import { makeCluster, makeReport, pageKey, usePageFiles } from './page-files';
import { pythonFor } from './python';
import { canSaveFolder, saveAs, saveFolder, zipFolder } from './save';

const words = strings.exportPanel;
const CHOICES = ['peft', 'merged', 'gguf', 'kohya', 'report', 'cluster'] as const;

/** What is written now, whoever makes it. */
interface Written {
  status: 'none' | 'writing' | 'ready' | 'failed';
  files: readonly ExportFile[];
  step: number;
  error: Failure | null;
  result: ExportResult | null;
}

export function ExportPanel() {
  const run = useSelectedRun();
  const fromFiles = useExplore((state) => state.status === 'open' && state.source !== null && state.source.run === null);
  if (!fromFiles && (!run || (run.step === 0 && run.samples.length === 0))) return <EmptyPanel title={words.empty} text={words.emptyText} />;
  return <Panel run={fromFiles ? null : run} />;
}

function Panel({ run }: { run: RunRecord | null }) {
  const request = useRequest(run);
  const written = useWritten(run, request);
  const name = useName(run, request);
  return (
    <main className="export" aria-label={strings.panels.export}>
      <Formats run={run} name={name} request={request} written={written} />
      <Files key={request ? exportKey(request) : 'page'} run={run} name={name} written={written} />
      <aside className="pane receipt-pane" aria-label={words.receipt}>
        <div className="ph"><h2>{words.receipt}</h2></div>
        <div className="rule" />
        {request ? <Receipt result={written.result} request={request} /> : run && <PageReceipt run={run} />}
      </aside>
    </main>
  );
}

/** What the engine is asked for; null where the page writes by itself. */
function useRequest(run: RunRecord | null): ExportRequest | null {
  const { format, dtype, what } = useExportChoice();
  // As text, so that an equal cut is the same one.
  const cut = useExplore((state) => JSON.stringify(cutOf(state)));
  const mine = useExplore((state) => state.status === 'open' && state.source?.run === (run?.id ?? null));
  const id = run?.id;
  return useMemo(() => {
    if (format === 'report' || format === 'cluster') return null;
    const source: ExportRequest['source'] = id === undefined || (what === 'cut' && mine) ? { kind: 'cut', cut: JSON.parse(cut) as Cut } : { kind: 'run', run: id };
    return { source, format, dtype };
  }, [format, dtype, what, mine, cut, id]);
}

function useWritten(run: RunRecord | null, request: ExportRequest | null): Written {
  const { format } = useExportChoice();
  const record = useStudio((state) => (request ? state.artifacts.exports[exportKey(request)] : undefined));
  const made = usePageFiles((state) => (run && (format === 'report' || format === 'cluster') ? state.made[pageKey(run.id, format)] : undefined));
  if (request) return record ? { ...record, files: record.result?.files ?? [] } : { status: 'none', files: [], step: 0, error: null, result: null };
  if (!made) return { status: 'none', files: [], step: 0, error: null, result: null };
  return { status: made.status, files: made.files, step: made.step, result: null, error: made.error === null ? null : { name: 'Error', message: made.error, hint: '' } };
}

/** A cut of a run is told apart from the run by its name. */
function useName(run: RunRecord | null, request: ExportRequest | null): string {
  const source = useExplore((state) => state.source?.name);
  return `${run?.name ?? source ?? 'adapter'}${run && request?.source.kind === 'cut' ? '-cut' : ''}`;
}

function Formats({ run, name, request, written }: { run: RunRecord | null; name: string; request: ExportRequest | null; written: Written }) {
  const app = useApp();
  const { ask, log } = app;
  const choice = useExportChoice();
  const runs = useStudio((state) => state.runs);
  const possible = useStudio((state) => state.project.model.card?.formats);
  const kind = useStudio((state) => state.engine.methods.find((method) => method.slug === run?.config.method.slug)?.exports);
  const exports = useStudio((state) => state.artifacts.exports);
  const pageMade = usePageFiles((state) => state.made);
  const validation = run ? lastValidation(log, run.id) : null;
  const page = !request;
  const size = written.files.reduce((sum, file) => sum + file.bytes.length, 0);
  const stale = written.status === 'ready' && run !== null && request?.source.kind !== 'cut' && written.step !== run.step;
  const isMoving = run !== null && isActive(run.status) && run.status !== 'paused' && choice.format !== 'report';
  const write = () => {
    if (request) void ask.exportAs(request, run?.id ?? null);
    else if (run) void (choice.format === 'report' ? makeReport(app, run) : makeCluster(app, run));
  };
  const single = written.files.length === 1 ? written.files[0] : undefined;
  const download = async () => {
    if (single) saveAs(single.name.includes(name) ? single.name : `${name}-${single.name}`, single.bytes, 'application/octet-stream');
    else saveAs(`${name}${choice.format === 'peft' ? '' : `-${choice.format}`}.zip`, await zipFolder(name, written.files));
  };
  const toFolder = async () => {
    const result = await saveFolder(written.files);
    if (result.kind === 'saved') toast.success(words.saved(result.folder, written.files.length));
    else if (result.kind === 'failed') toast.error(words.saveFailed, { description: result.message });
  };
  const sizeOfFormat = (format: Choice): number => {
    if (format === 'report' || format === 'cluster') return run ? (pageMade[pageKey(run.id, format)]?.files.reduce((sum, file) => sum + file.bytes.length, 0) ?? 0) : 0;
    const source = request?.source ?? (run ? ({ kind: 'run', run: run.id } as const) : null);
    return source ? (exports[exportKey({ source, format, dtype: choice.dtype })]?.result?.files.reduce((sum, file) => sum + file.bytes.length, 0) ?? 0) : 0;
  };
  const reason = (format: Choice): string | null => {
    if ((format === 'report' || format === 'cluster') && !run) return words.needsRun;
    const isLora = kind === undefined || kind.startsWith('lora');
    if (!isLora && (format === 'gguf' || format === 'kohya')) return words.needsLora;
    if (kind === 'none' && (format === 'peft' || format === 'cluster')) return words.none;
    if (kind === 'native' && format === 'cluster') return words.needsLora;
    if (format === 'report' || format === 'cluster' || !possible || possible.includes(format)) return null;
    return format === 'kohya' ? words.kohyaNot : words.ggufNot;
  };
  const exact = kind && { 'lora-exact': words.exact, 'lora-svd': words.bySvd, peft: words.peftType, native: words.native, none: words.none }[kind];
  return (
    <section className="pane" aria-label={strings.panels.export}>
      <div className="ph">
        <h2 className="ell">{words.title(name)}</h2>
        {run && <span className="meta">{words.at(run.step)}{validation !== null && `, ${strings.train.validationShort} ${loss(validation)}`}</span>}
      </div>
      {runs.order.length > 1 && run && (
        <div className="pb"><SelectBox label={strings.train.runMenu} value={run.id} options={runs.order.map((id) => ({ value: id, label: runs.byId[id]?.name ?? id }))} onChange={ask.select} /></div>
      )}
      <div className="rule" />
      <div className="pb-scroll">
        <RadioGroup.Root className="formats" aria-label={words.format} value={choice.format} onValueChange={(format) => useExportChoice.setState({ format: format as Choice })}>
          {CHOICES.map((format) => {
            const not = reason(format);
            const [title, text] = words.formats[format];
            const tag = format === 'peft' || format === 'gguf' ? exact : format === 'merged' ? exact && (choice.dtype === 'F32' ? exact : words.rounded) : null;
            const ready = sizeOfFormat(format);
            return (
              <RadioGroup.Item key={format} value={format} className="format" disabled={not !== null} data-testid={`format-${format}`}>
                <span className="rd" aria-hidden="true"><RadioGroup.Indicator /></span>
                <b>{title} {tag && not === null && <span className="tag">{tag}</span>}</b>
                <span className="num">{ready > 0 ? bytes(ready) : ''}</span>
                <p>{not ?? text}</p>
              </RadioGroup.Item>
            );
          })}
        </RadioGroup.Root>
        <div className="pb export-state">
          {isMoving && <p className="hint fs12">{words.pauseFirst}</p>}
          {stale && <p className="warn fs12">{words.stale(written.step, run.step)}</p>}
          {written.error && <FailureBanner title={words.failed} failure={written.error} />}
        </div>
      </div>
      <Options run={run} page={page} />
      <div className="plan-foot">
        {written.status === 'ready' && !stale ? (
          <>
            <button type="button" className="btn primary lg wide" data-testid="download-button" onClick={() => void download()}><Icon of={Download} />{single ? words.downloadOne(single.name, bytes(size)) : words.download(bytes(size))}</button>
            <div className="row between wrap">
              <span className="row">
                {canSaveFolder() && <button type="button" className="btn ghost" onClick={() => void toFolder()}><Icon of={FolderDown} size={14} />{words.toFolder}</button>}
                <button type="button" className="btn ghost" data-testid="export-button" onClick={write}>{words.writeAgain}</button>
              </span>
              <span className="hint fs12">{words.sentNowhere}</span>
            </div>
          </>
        ) : (
          <button type="button" className="btn primary lg wide" data-testid="export-button" disabled={written.status === 'writing' || isMoving} onClick={write}>
            {written.status === 'writing' ? words.writing : page ? words.make : words.write}
          </button>
        )}
      </div>
    </section>
  );
}

function Options({ run, page }: { run: RunRecord | null; page: boolean }) {
  const { format, dtype, what } = useExportChoice();
  const mine = useExplore((state) => state.status === 'open' && state.source?.run === (run?.id ?? null));
  const kept = useExplore((state) => sizeOf(state, cutOf(state).keep).components);
  const all = useExplore((state) => (state.card ? most(state.card, state.mode === 'gates' ? 'gates' : 'components') : 0));
  const strength = useExplore((state) => state.strength);
  const plain = useExplore(isPlain);
  const isCut = what === 'cut' || !run;
  // Its room stays, so that the list above never moves.
  if (page || (!mine && format !== 'merged')) return <div className="export-options" />;
  return (
    <div className="pb export-options">
      {run && mine && (
        <div className="field wide"><span className="lab">{words.which}</span>
          <Segmented full label={words.which} value={what} onChange={(value) => useExportChoice.setState({ what: value as 'whole' | 'cut' })} options={[{ value: 'whole', label: words.whole, testid: 'export-whole' }, { value: 'cut', label: words.cut, testid: 'export-cut-choice' }]} />
        </div>
      )}
      {isCut && mine && <p className="hint fs12">{words.cutText(kept, all, strength)}{!plain && ` ${words.byHand}`}</p>}
      {format === 'merged' && (
        <div className="field wide"><span className="lab">{words.numbers}</span>
          <Segmented full label={words.numbers} value={dtype} onChange={(value) => useExportChoice.setState({ dtype: value as ExportDtype })} options={(['F32', 'F16', 'BF16'] as const).map((value) => ({ value, label: value.toLowerCase() }))} />
        </div>
      )}
    </div>
  );
}

function Files({ run, name, written }: { run: RunRecord | null; name: string; written: Written }) {
  const { format } = useExportChoice();
  const [chosen, setChosen] = useState('');
  const model = run?.config.model;
  const python = pythonFor(format, name, model ? (model.kind === 'builtin' ? model.id : model.name) : 'BASE', run?.config.sample.prompt ?? 'Once upon a time');
  const { files } = written;
  const shown = files.find((file) => file.name === chosen) ?? files.find((file) => /\.(json|md|html)$/.test(file.name)) ?? files[0];
  return (
    <section className="pane files-pane" aria-label={words.filesTab}>
      <Tabs.Root defaultValue="files" className="tabs-root">
        <Tabs.List className="tabs">
          <Tabs.Trigger value="files">{words.filesTab}</Tabs.Trigger>
          {python && <Tabs.Trigger value="python">{words.useTab}</Tabs.Trigger>}
        </Tabs.List>
        <Tabs.Content value="files" className="tabs-page">
          {files.length > 0 ? (
            <>
              <div className="file-tree">
                <p className="mono">{name}/</p>
                {files.map((file) => (
                  <button key={file.name} type="button" aria-pressed={file.name === shown?.name} onClick={() => setChosen(file.name)}>
                    <span>{file.name}</span><span className="num hint">{count(file.bytes.length)} B</span>
                  </button>
                ))}
              </div>
              {shown?.name.endsWith('.html')
                ? <iframe className="preview-page grow" title={words.reportPreview} sandbox="" srcDoc={new TextDecoder().decode(shown.bytes)} data-testid="report-preview" />
                : <Preview text={shown ? textOf(shown) : ''} testid="file-preview" />}
            </>
          ) : (
            <p className="pb hint receipt-wait">{words.notYet}</p>
          )}
        </Tabs.Content>
        {python && (
          <Tabs.Content value="python" className="tabs-page">
            <div className="pb row"><span className="end"><CopyButton text={python} className="btn" /></span></div>
            <Preview text={python} />
          </Tabs.Content>
        )}
      </Tabs.Root>
    </section>
  );
}

/** Scrolls on its own, so the keyboard must reach it. */
function Preview({ text, testid }: { text: string; testid?: string }) {
  // biome-ignore lint/a11y/noNoninteractiveTabindex: see above.
  return <pre className="preview grow" tabIndex={0} data-testid={testid}>{text}</pre>;
}

/** Longer texts are cut in the preview only. */
const MOST_TEXT = 40_000;

/** A file as text; weights are named by their header only. */
function textOf({ name, bytes: data }: ExportFile): string {
  if (name.endsWith('.gguf')) return words.binary(bytes(data.length));
  if (!name.endsWith('.safetensors')) {
    const text = new TextDecoder().decode(data.subarray(0, MOST_TEXT));
    return data.length > MOST_TEXT ? `${text}\n${words.more(bytes(data.length - MOST_TEXT))}` : text;
  }
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const length = Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(data.subarray(8, 8 + length))) as Record<string, { dtype: string; shape: number[] }>;
  const tensors = Object.entries(header).filter(([key]) => key !== '__metadata__');
  const lines = tensors.map(([key, { dtype, shape }]) => `${key}  ${dtype} [${shape.join(', ')}]`);
  return [...lines, '', words.binary(bytes(data.length - 8 - length))].join('\n');
}
