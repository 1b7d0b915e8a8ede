// Name, what it trains on, pause and stop, and how far it is: texts are rings on the time line.
import { Bell, BellRing, ClipboardCopy, Download, Pause, Play, Square, Trash2 } from 'lucide-react';
import { toast } from 'sonner';
import { useStore } from 'zustand';
import { canGoOn, isActive, type RunRecord, totalSteps } from '../../store/slices/runs';
import { chartState } from '../charts/chart-state';
import { useApp, useShallowStudio, useStudio } from '../context';
import { Icon } from '../controls/Icon';
import { SelectBox } from '../controls/SelectBox';
import { clock, count } from '../format';
import { setNotify } from '../shell/notify';
import { platformKeys } from '../shell/platform';
import { secondsLeft } from '../shell/run-view';
import { tell } from '../shell/tell';
import { strings } from '../strings';
import { deleteRun } from './delete-run';
import { GoOn } from './RunBanners';

const words = strings.train;

export function RunHeader({ run }: { run: RunRecord }) {
  return (
    <div className="runhead">
      <div className="row">
        <h1>{run.name}</h1>
        <span className="tag acc desk">{run.labels.method}</span>
        <RunMenu run={run} />
        <span className="dim fs12 ell grow desk">{words.what(run.labels.model, run.labels.data)}</span>
        <span className="tag" data-testid="run-status" data-status={run.status}>{run.interrupted ? words.interrupted : words.status[run.status]}</span>
        <span className="num fs12 phone-only">{words.stepOf(run.step, totalSteps(run))}</span>
        <span className="row desk"><Actions run={run} keys /></span>
      </div>
      <Timeline run={run} />
    </div>
  );
}

/** Where the rail is hidden, the runs are a menu. */
function RunMenu({ run }: { run: RunRecord }) {
  const { ask } = useApp();
  const options = useShallowStudio((state) => state.runs.order.map((id) => `${id}\n${state.runs.byId[id]?.name}`));
  if (options.length < 2) return null;
  return (
    <span className="run-menu">
      <SelectBox label={words.runMenu} value={run.id} options={options.map((option) => ({ value: option.split('\n')[0] as string, label: option.split('\n')[1] as string }))} onChange={ask.select} />
    </span>
  );
}

/** Buttons of a run; on a phone the same two stand at the thumb. */
function Actions({ run, keys = false, testids = true }: { run: RunRecord; keys?: boolean; testids?: boolean }) {
  const app = useApp();
  const { ask, edit, log } = app;
  const notify = useStudio((state) => state.layout.notify);
  const pictures = useStudio((state) => (state.engine.methods.find((method) => method.slug === run.config.method.slug)?.views.length ?? 0) > 0);
  const id = (name: string) => (testids ? name : undefined);
  const copy = async () => {
    await navigator.clipboard.writeText(log.toCsv(run.id));
    toast(strings.common.copied);
  };
  if (!isActive(run.status)) {
    return (
      <>
        {canGoOn(run) && !run.interrupted && !run.error && <GoOn run={run} />}
        {pictures && <button key="explore" type="button" className="btn" onClick={() => edit.open('explore')}>{words.toExplore}</button>}
        <button key="export" type="button" className="btn" disabled={run.step === 0} onClick={() => edit.open('export')}><Icon of={Download} size={14} />{words.toExport}</button>
        <button type="button" className="iconbtn" aria-label={words.copyMetrics} title={words.copyMetrics} onClick={() => void copy()}><Icon of={ClipboardCopy} /></button>
        <button type="button" className="iconbtn" aria-label={words.delete} title={words.delete} data-testid={id('delete-run')} onClick={() => deleteRun(app, run)}><Icon of={Trash2} /></button>
      </>
    );
  }
  return (
    <>
      {run.status === 'paused' ? (
        <button key="resume" type="button" className="btn" data-testid={id('resume-button')} onClick={() => void tell(ask.resume(run.id))}><Icon of={Play} size={14} />{words.resume}{keys && <kbd className="kcap">Space</kbd>}</button>
      ) : (
        <button type="button" className="btn" data-testid={id('pause-button')} disabled={run.status !== 'running'} onClick={() => void tell(ask.pause(run.id))}><Icon of={Pause} size={14} />{words.pause}{keys && <kbd className="kcap">Space</kbd>}</button>
      )}
      <button key="stop" type="button" className="btn" data-testid={id('stop-button')} onClick={() => void tell(ask.stop(run.id))}><Icon of={Square} size={13} />{words.stop}{keys && <kbd className="kcap">{platformKeys('⌘.')}</kbd>}</button>
      {keys && <button type="button" className="iconbtn" aria-label={words.notify} title={notify ? words.notifyOn : words.notify} aria-pressed={notify} onClick={() => void setNotify(edit, !notify)}><Icon of={notify ? BellRing : Bell} /></button>}
      {keys && <button type="button" className="iconbtn" aria-label={words.copyMetrics} title={words.copyMetrics} onClick={() => void copy()}><Icon of={ClipboardCopy} /></button>}
    </>
  );
}

export function PhoneActions({ run }: { run: RunRecord }) {
  return <div className="phone-actions"><Actions run={run} testids={false} /></div>;
}

function Timeline({ run }: { run: RunRecord }) {
  const picked = useStore(chartState, (state) => state.sample);
  const steps = totalSteps(run);
  const share = (step: number) => `${(100 * Math.min(step, steps)) / steps}%`;
  const newest = run.samples.at(-1)?.step;
  const left = secondsLeft(run);
  // The counter gives way where it would run into the ends.
  const atStart = run.step / steps < 0.06;
  const atEnd = run.step / steps > 0.84;
  return (
    <div className="timeline">
      <div className="bar" role="progressbar" aria-label={words.progress} aria-valuemin={0} aria-valuemax={steps} aria-valuenow={run.step}><i className={run.status === 'paused' ? 'still' : ''} style={{ width: share(run.step) }} /></div>
      {run.notes.map(({ step, text }) => <i key={`${step} ${text}`} className="event" style={{ left: share(step) }} title={text} />)}
      {run.samples.map(({ step }) => (
        <button
          key={step} type="button" className="ring" style={{ left: share(step) }} aria-pressed={step === (picked ?? newest)} aria-label={words.sampleAt(step)} title={words.sampleAt(step)}
          onClick={() => chartState.setState({ sample: step })}
        />
      ))}
      {!atStart && <span className="t first">0</span>}
      <span className={atStart ? 't now first' : atEnd ? 't now end' : 't now'} style={atStart || atEnd ? {} : { left: share(run.step) }}>
        <span data-testid="step-count">{run.step}</span>{atEnd && ` / ${count(steps)}${run.seconds !== null && !isActive(run.status) ? ` ${words.tookAbout(clock(run.seconds))}` : ''}`}
      </span>
      {!atEnd && <span className="t last">{left === null ? count(steps) : words.endsIn(steps, clock(left))}</span>}
    </div>
  );
}
