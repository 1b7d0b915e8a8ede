// The runs of this visit: which is shown, which are drawn with it, and what each came to.
import { Plus } from 'lucide-react';
import { type RunRecord, totalSteps } from '../../store/slices/runs';
import { useApp, useShallowStudio, useStudio } from '../context';
import { Icon } from '../controls/Icon';
import { count, loss, setting } from '../format';
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
        {runs.map((run) => <RailRun key={run.id} run={run} selected={run.id === selected} onSelect={() => ask.select(run.id)} />)}
      </ul>
      {children}
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
      <b className="ell">{run.name}</b>
      <span className="num">{validation === null ? '' : loss(validation)}</span>
      <span className="rail-note">
        <span className="ell">{[run.labels.method, ...Object.entries(run.config.method.fields).map(([name, value]) => `${name} ${typeof value === 'number' ? setting(value) : value}`)].join(', ')}</span>
        <span>{run.status === 'running' ? `${count(run.step)}/${count(totalSteps(run))}` : words.status[run.status]}</span>
      </span>
    </li>
  );
}
