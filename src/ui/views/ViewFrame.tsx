// One view of a method, drawn by its kind. A method names the kind; it ships no component of its own.
import type { ViewSpec } from '../../store/contract';
import type { RunRecord } from '../../store/slices/runs';
import { useApp, useVersion } from '../context';
import { strings } from '../strings';
import { Heatmap } from './Heatmap';
import { keptTotal } from './heatmap';

const words = strings.views;

/** The small form, as Train shows it: the newest data, nothing to press. */
export function ViewFrame({ run, view }: { run: RunRecord; view: ViewSpec }) {
  const { log } = useApp();
  useVersion(run.id);
  const newest = log.snapshots(run.id, view.id).at(-1);
  return (
    <section className="sample view" data-testid={`view-${view.id}`}>
      <div className="sub">
        <h3>{view.title}</h3>
        <span className="hint">{newest && words.step(newest.step)}</span>
        <span className="end num">{newest && `${keptTotal(newest.data)} / ${newest.data.values.length}`}</span>
      </div>
      {newest ? <Heatmap data={newest.data} title={view.title} rows={view.rows} columns={view.columns} compact /> : <p className="hint fs12">{words.waiting}</p>}
    </section>
  );
}
