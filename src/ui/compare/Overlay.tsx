// The validation curves of all drawn rows over steps, time or operations, seeds as a band around their mean.
import { useMemo, useState } from 'react';
import { useStore } from 'zustand';
import { deviation, mean } from '../../store/groups';
import type { MetricLog } from '../../store/metric-log';
import { type Line, StepChart } from '../charts/StepChart';
import { useApp } from '../context';
import { Segmented } from '../controls/Segmented';
import { clock, count, loss, tick } from '../format';
import { strings } from '../strings';
import { compareCharts, compareState, type XAxis } from './compare-state';
import type { Row } from './rows';
import type { Comparison } from './use-rows';

const words = strings.compare;
const SAY: Record<XAxis, (value: number) => string> = { step: (value) => count(Math.round(value)), time: clock, flops: tick };

export function Overlay({ comparison }: { comparison: Comparison }) {
  const { log: numbers } = useApp();
  const { axis, log } = useStore(compareState);
  // On a phone there is no room for names at the lines' ends; the table has the colours.
  const [narrow] = useState(() => matchMedia('(max-width: 700px)').matches);
  const hover = useStore(compareCharts, (state) => state.hover);
  const drawn = useMemo(() => comparison.rows.filter(comparison.drawn).map((row) => ({ row, color: comparison.colorOf(row), curve: curveOf(row, numbers, axis) })), [comparison, numbers, axis]);
  const lines = useMemo(
    () =>
      drawn
        .map(({ row, color, curve }): Line => ({
          key: row.key, label: row.group.name, x: curve.x, y: curve.y, color, width: color === 'accent' ? 2.2 : 1.4, ...(narrow ? {} : { endLabel: row.group.name }),
          ...(row.group.losses.length > 1 ? { band: { low: curve.low, high: curve.high } } : {}),
        }))
        // The chosen row lies over the others.
        .sort((a, b) => Number(a.color === 'accent') - Number(b.color === 'accent')),
    [drawn, narrow],
  );
  const end = Math.max(0, ...drawn.flatMap(({ curve }) => curve.x.at(-1) ?? 0));
  const readings = drawn
    .map(({ row, color, curve }) => ({ row, color, value: hover === null ? curve.y.at(-1) : curve.y[curve.x.findLastIndex((x) => x <= hover)] }))
    .filter((entry): entry is typeof entry & { value: number } => entry.value !== undefined)
    .sort((a, b) => a.value - b.value)
    .slice(0, 4);
  return (
    <section className="pane overlay" aria-label={words.overlay}>
      <div className="ph">
        <h2>{words.overlay}</h2>
        <div className="legend">
          {readings.map(({ row, color, value }) => <span key={row.key} title={row.group.name}><i className="swatch line" style={{ background: `var(--${color})` }} /><b className="num">{loss(value)}</b></span>)}
          {readings.length > 0 && <span className="hint desk">{hover === null ? words.bestLast : words.bestAt(SAY[axis](hover))}</span>}
        </div>
        <span className="end desk">
          <Segmented label={strings.train.axis} value={log ? 'log' : 'linear'} onChange={(value) => compareState.setState({ log: value === 'log' })} options={[{ value: 'linear', label: strings.train.linear }, { value: 'log', label: strings.train.log }]} />
          <Segmented
            label={words.axisLabel} value={axis} options={(Object.keys(words.axes) as XAxis[]).map((value) => ({ value, label: words.axes[value], testid: `axis-${value}` }))}
            onChange={(value) => { compareCharts.setState({ hover: null, zoom: null }); compareState.setState({ axis: value as XAxis }); }}
          />
        </span>
      </div>
      <StepChart
        title={words.overlay} summary={strings.chart.summary(words.overlay, Math.round(end), readings[0] ? loss(readings[0].value) : '')} lines={lines} steps={end} log={log} padRight={narrow ? 18 : 140}
        axis={{ key: `compare ${axis}`, format: SAY[axis] }} shared={compareCharts}
      />
    </section>
  );
}

/** Mean over the row's runs at each evaluated step that all of them have. */
function curveOf(row: Row, numbers: MetricLog, axis: XAxis): { x: number[]; y: number[]; low: number[]; high: number[] } {
  const runs = row.group.runs.map((run) => ({ run, ...numbers.evals(run.id) })).filter(({ steps }) => steps.length > 0);
  const curve = { x: [] as number[], y: [] as number[], low: [] as number[], high: [] as number[] };
  const first = runs[0];
  if (!first) return curve;
  for (const step of first.steps) {
    const values = runs.map(({ steps, losses }) => losses[steps.indexOf(step)]).filter((value) => value !== undefined);
    const places = runs.map(({ run }) => (axis === 'step' ? step : axis === 'flops' ? (run.facts ? (step * run.facts.flopsPerStep) / 1e12 : null) : numbers.secondsAt(run.id, step)));
    const at = places.filter((place) => place !== null);
    // What was not measured has no place on the axis.
    if (values.length < runs.length || at.length < runs.length) continue;
    const centre = mean(values);
    const spread = deviation(values) ?? 0;
    curve.x.push(mean(at));
    curve.y.push(centre);
    curve.low.push(centre - spread);
    curve.high.push(centre + spread);
  }
  return curve;
}
