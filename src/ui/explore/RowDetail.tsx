// One row of a heat map: its values as bars, zero hollow; and how many were not zero over the run.
import type { HeatmapData, ViewSpec } from '../../store/contract';
import { type RunRecord, totalSteps } from '../../store/slices/runs';
import { useApp } from '../context';
import { tick } from '../format';
import { strings } from '../strings';
import { keptIn } from '../views/heatmap';

const words = strings.views;

export function RowDetail({ run, view, data, row, top }: { run: RunRecord; view: ViewSpec; data: HeatmapData; row: number; top: number }) {
  const { log } = useApp();
  const values = Array.from({ length: data.columns }, (_, column) => data.values[row * data.columns + column] as number);
  const history = log.snapshots(run.id, view.id).map((entry) => ({ step: entry.step, kept: keptIn(entry.data, row) }));
  const steps = totalSteps(run);
  const path = history.map(({ step, kept }, i) => `${i ? 'L' : 'M'}${((1000 * step) / steps).toFixed(1)} ${(56 - (52 * kept) / data.columns).toFixed(1)}`).join('');
  return (
    <>
      <div className="ph"><h2 className="ell breaks-name" title={data.rows[row]}>{data.rows[row]}</h2></div>
      <div className="pb">
        <p className="fs12 dim">{words.siteValues} <span className="hint">{words.siteOrder}</span></p>
        <ValueBars values={values} top={top} />
        {history.length > 1 && (
          <>
            <div className="sub"><h3>{words.kept(keptIn(data, row), data.columns)}</h3></div>
            <svg className="kept-line" viewBox="0 0 1000 60" preserveAspectRatio="none" aria-hidden="true">
              <path d="M0 56H1000" stroke="var(--line-2)" vectorEffect="non-scaling-stroke" />
              <path d={path} fill="none" stroke="var(--accent)" strokeWidth="1.6" vectorEffect="non-scaling-stroke" />
            </svg>
          </>
        )}
      </div>
    </>
  );
}

/** A bar a value; of many, only the first and the last are numbered, and no room is lost between them. */
export function ValueBars({ values, top }: { values: readonly number[]; top: number }) {
  const dense = values.length > 24;
  return (
    <div className={dense ? 'value-bars dense' : 'value-bars'} role="img" aria-label={values.map((value, i) => `${i + 1}: ${value === 0 ? words.zero : tick(value)}`).join(', ')}>
      {values.map((value, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a bar is its place.
        <span key={i} title={tick(value)}>
          <i className={value === 0 ? 'zero' : ''} style={{ height: value === 0 ? '100%' : `${Math.max(2, (100 * Math.abs(value)) / (top || 1))}%` }} />
          <b className="num">{!dense || i === 0 || i === values.length - 1 ? i + 1 : ''}</b>
        </span>
      ))}
    </div>
  );
}
