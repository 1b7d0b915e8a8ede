// The runs of this browser: which is shown, which are drawn with it, and what each came to. Below: what waits, and the room they take.
import { Plus } from 'lucide-react';
import { canGoOn, type RunRecord, totalSteps } from '../../store/slices/runs';
import { useApp, useShallowStudio, useStudio } from '../context';
import { Banner } from '../controls/Banner';
import { Icon } from '../controls/Icon';
import { saveFile } from '../controls/save-file';
import { bytes, count, loss, setting } from '../format';
import { lastValidation } from '../shell/run-view';
import { strings } from '../strings';
import { runColor } from './run-color';

const words = strings.train;

export function RunRail({ children }: { children?: React.ReactNode }) {
  const { ask, edit } = useApp();
  const runs = useShallowStudio((state) => state.runs.order.map((id) => state.runs.byId[id] as RunRecord));
  const selected = useStudio((state) => state.runs.selected);
  return (
    <aside className="pane rail" aria-label={words.runs}>
      <div className="ph">
        <h2>{words.runs}</h2><span className="meta">{words.runsHint}</span>
        <span className="end"><button type="button" className="iconbtn" aria-label={words.newRun} title={words.newRun} onClick={() => edit.open('build')}><Icon of={Plus} /></button></span>
      </div>
      <div className="rule" />
      <ul className="rail-list" aria-label={words.runs}>
        {runs.toReversed().map((run) => <RailRun key={run.id} run={run} selected={run.id === selected} onSelect={() => ask.select(run.id)} />)}
      </ul>
      {children}
      <NextInLine />
      <Unreadable />
      <Room />
    </aside>
  );
}

function RailRun({ run, selected, onSelect }: { run: RunRecord; selected: boolean; onSelect: () => void }) {
  const { log, edit } = useApp();
  const hidden = useStudio((state) => state.layout.hiddenRuns);
  const order = useStudio((state) => state.runs.order);
  const chosen = useStudio((state) => state.runs.selected);
  useStudio((state) => state.metrics.version[run.id]);
  const validation = lastValidation(log, run.id);
  const color = runColor(order, chosen, run.id);
  const off = hidden.includes(run.id) && !selected;
  return (
    <li className={selected ? 'rail-run on' : 'rail-run'}>
      {/* Lies under the rest of the row, so that the whole row selects. */}
      <button type="button" className="rail-pick" aria-current={selected} aria-label={run.name} onClick={onSelect} />
      <button
        type="button" className="rail-swatch" style={{ background: off ? 'none' : `var(--${color})`, borderColor: `var(--${color})` }} aria-pressed={!off} disabled={selected}
        aria-label={words.showRun(run.name)} title={words.showRun(run.name)}
        onClick={() => edit.layout({ hiddenRuns: off ? hidden.filter((id) => id !== run.id) : [...hidden, run.id] })}
      />
      <b className="ell" title={run.name}>{run.name}</b>
      <span className="num">{validation === null ? '' : loss(validation)}</span>
      <span className="rail-note">
        <span className="ell">{[run.labels.method, ...Object.entries(run.config.method.fields).map(([name, value]) => `${name} ${typeof value === 'number' ? setting(value) : value}`)].join(', ')}</span>
        <span>{run.status === 'running' || (canGoOn(run) && run.status !== 'failed') ? `${count(run.step)}/${count(totalSteps(run))}` : words.status[run.status]}</span>
      </span>
    </li>
  );
}

function NextInLine() {
  const { edit } = useApp();
  const queue = useStudio((state) => state.queue);
  if (queue.items.length === 0) return null;
  return (
    <div className="rail-foot">
      <b>{words.next}</b>
      {queue.items.slice(0, 3).map((item) => <span key={item.config.name} className="ell hint">{item.config.name}</span>)}
      <button type="button" className="btn" onClick={() => edit.open('compare')}>{strings.compare.queue.progress(queue.name, queue.total - queue.items.length, queue.total)}</button>
    </div>
  );
}

/** Entries of the history that this version cannot read: told, never thrown away. */
function Unreadable() {
  const { ask } = useApp();
  const entries = useStudio((state) => state.history.unreadable);
  if (entries.length === 0) return null;
  const save = () => saveFile('lowrank-unreadable-runs.json', JSON.stringify(entries, (_key, value: unknown) => (ArrayBuffer.isView(value) ? [...(value as Float32Array)] : value), 1));
  return (
    <Banner
      tone="warn" title={words.unreadable(entries.length)} testid="unreadable"
      actions={
        <>
          <button type="button" className="btn" onClick={save}>{words.saveRaw}</button>
          <button type="button" className="btn ghost" onClick={() => entries.forEach((entry) => void ask.removeEntry(entry.key))}>{words.deleteRaw}</button>
        </>
      }
    >
      <p>{words.unreadableText}</p>
      {entries.slice(0, 3).map((entry) => <p key={entry.key} className="num breaks fs11">{entry.problem}</p>)}
    </Banner>
  );
}

function Room() {
  const { store } = useApp();
  const { status, problem, room } = useStudio((state) => state.history);
  if (status === 'unavailable' || problem !== null) return <p className="rail-foot warn" data-testid="storage">{words.storageNone}: {problem}</p>;
  if (!room) return null;
  const keep = async () => {
    const persisted = await navigator.storage.persist();
    const { history } = store.getState();
    store.setState({ history: { ...history, room: history.room && { ...history.room, persisted } } });
  };
  return (
    <div className="rail-foot" data-testid="storage">
      <span className="hint">{words.storage(bytes(room.used), bytes(room.quota))}</span>
      <span className="hint">{room.persisted ? words.storageKept : words.storageRisk}</span>
      {!room.persisted && <button type="button" className="btn ghost" onClick={() => void keep()}>{words.storageKeep}</button>}
    </div>
  );
}
