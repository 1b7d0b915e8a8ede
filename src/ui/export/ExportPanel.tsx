// From adapter to files: written, read back, compared, then downloaded.
import { Download, FileCheck } from 'lucide-react';
import { Tabs } from 'radix-ui';
import { useState } from 'react';
import type { ExportFile } from '../../store/contract';
import type { RunRecord } from '../../store/slices/runs';
import { isActive } from '../../store/slices/runs';
import { useApp, useSelectedRun, useStudio } from '../context';
import { CopyButton } from '../controls/CopyLine';
import { FailureBanner } from '../controls/FailureBanner';
import { Icon } from '../controls/Icon';
import { SelectBox } from '../controls/SelectBox';
import { bytes, count, loss } from '../format';
import { lastValidation } from '../shell/run-view';
import { strings } from '../strings';
import { EmptyPanel } from '../train/EmptyPanel';
import { pythonOf } from './python';
import { Receipt } from './Receipt';
import { saveAs, zipFolder } from './zip';

const words = strings.exportPanel;

export function ExportPanel() {
  const run = useSelectedRun();
  if (!run || (run.step === 0 && run.samples.length === 0)) return <EmptyPanel title={words.empty} text={words.emptyText} />;
  return (
    <main className="export" aria-label={strings.panels.export}>
      <Formats run={run} />
      <Files run={run} />
      <aside className="pane receipt-pane" aria-label={words.receipt}><Receipt run={run} /></aside>
    </main>
  );
}

function Formats({ run }: { run: RunRecord }) {
  const { ask, log } = useApp();
  const record = useStudio((state) => state.artifacts.exports[run.id]);
  const kind = useStudio((state) => state.engine.methods.find((method) => method.slug === run.config.method.slug)?.exports);
  const runs = useStudio((state) => state.runs);
  const validation = lastValidation(log, run.id);
  const result = record?.result;
  const size = result?.files.reduce((sum, file) => sum + file.bytes.length, 0) ?? 0;
  const stale = record?.status === 'ready' && record.step !== run.step;
  const download = async () => {
    if (result) saveAs(`${run.name}.zip`, await zipFolder(run.name, result.files));
  };
  return (
    <section className="pane" aria-label={strings.panels.export}>
      <div className="ph">
        <h2 className="ell">{words.title(run.name)}</h2>
        <span className="meta">{words.at(run.step)}{validation !== null && `, ${strings.train.validationShort} ${loss(validation)}`}</span>
      </div>
      {runs.order.length > 1 && (
        <div className="pb"><SelectBox label={strings.train.runMenu} value={run.id} options={runs.order.map((id) => ({ value: id, label: runs.byId[id]?.name ?? id }))} onChange={ask.select} /></div>
      )}
      <div className="rule" />
      <div className="format" aria-current="true">
        <Icon of={FileCheck} />
        <div className="grow">
          <p className="row"><b>{words.peft}</b>{kind && <span className="tag">{{ 'lora-exact': words.exact, 'lora-svd': words.bySvd, peft: words.peftType, native: words.native, none: words.none }[kind]}</span>}<span className="end num">{size > 0 && bytes(size)}</span></p>
          <p className="dim fs12">{words.peftText}</p>
        </div>
      </div>
      <div className="rule" />
      <div className="pb grow export-state">
        {isActive(run.status) && <p className="hint fs12">{words.pauseFirst}</p>}
        {stale && <p className="warn fs12">{words.stale(record.step, run.step)}</p>}
        {record?.error && <FailureBanner title={words.failed} failure={record.error} />}
      </div>
      <div className="plan-foot">
        {result && !stale ? (
          <>
            <button type="button" className="btn primary lg wide" data-testid="download-button" onClick={() => void download()}><Icon of={Download} />{words.download(bytes(size))}</button>
            <div className="row between">
              <button type="button" className="btn ghost" data-testid="export-button" disabled={record?.status === 'writing'} onClick={() => void ask.exportPeft(run.id)}>{words.writeAgain}</button>
              <span className="hint fs12">{words.sentNowhere}</span>
            </div>
          </>
        ) : (
          <button type="button" className="btn primary lg wide" data-testid="export-button" disabled={record?.status === 'writing'} onClick={() => void ask.exportPeft(run.id)}>
            {record?.status === 'writing' ? words.writing : words.write}
          </button>
        )}
      </div>
    </section>
  );
}

function Files({ run }: { run: RunRecord }) {
  const files = useStudio((state) => state.artifacts.exports[run.id]?.result?.files);
  const [chosen, setChosen] = useState('adapter_config.json');
  const { model, sample } = run.config;
  const python = pythonOf(run.name, model.kind === 'builtin' ? model.id : model.name, sample.prompt);
  const shown = files?.find((file) => file.name === chosen) ?? files?.[0];
  return (
    <section className="pane files-pane" aria-label={words.filesTab}>
      <Tabs.Root defaultValue="files" className="tabs-root">
        <Tabs.List className="tabs">
          <Tabs.Trigger value="files">{words.filesTab}</Tabs.Trigger>
          <Tabs.Trigger value="python">{words.pythonTab}</Tabs.Trigger>
        </Tabs.List>
        <Tabs.Content value="files" className="tabs-page">
          {files ? (
            <>
              <div className="file-tree">
                <p className="mono">{run.name}/</p>
                {files.map((file) => (
                  <button key={file.name} type="button" aria-pressed={file.name === shown?.name} onClick={() => setChosen(file.name)}>
                    <span>{file.name}</span><span className="num hint">{count(file.bytes.length)} B</span>
                  </button>
                ))}
              </div>
              <Preview text={shown ? textOf(shown) : ''} testid="file-preview" />
            </>
          ) : (
            <p className="pb hint">{words.notYet}</p>
          )}
        </Tabs.Content>
        <Tabs.Content value="python" className="tabs-page">
          <div className="pb row"><span className="end"><CopyButton text={python} className="btn" /></span></div>
          <Preview text={python} />
        </Tabs.Content>
      </Tabs.Root>
    </section>
  );
}

/** Scrolls on its own, so the keyboard must reach it. */
function Preview({ text, testid }: { text: string; testid?: string }) {
  // biome-ignore lint/a11y/noNoninteractiveTabindex: see above.
  return <pre className="preview grow" tabIndex={0} data-testid={testid}>{text}</pre>;
}

/** A file as text; weights are named by their header only. */
function textOf(file: ExportFile): string {
  if (!file.name.endsWith('.safetensors')) return new TextDecoder().decode(file.bytes);
  const view = new DataView(file.bytes.buffer, file.bytes.byteOffset, file.bytes.byteLength);
  const length = Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(file.bytes.subarray(8, 8 + length))) as Record<string, { dtype: string; shape: number[] }>;
  const tensors = Object.entries(header).filter(([name]) => name !== '__metadata__');
  return [words.binary(bytes(file.bytes.length)), '', ...tensors.map(([name, { dtype, shape }]) => `${dtype} [${shape.join(', ')}]  ${name}`)].join('\n');
}
