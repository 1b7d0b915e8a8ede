// The loss: raw and smoothed, validation as rings, the other runs beside it.
import { Slider } from 'radix-ui';
import { useMemo, useState } from 'react';
import { useStore } from 'zustand';
import type { MetricLog } from '../../store/metric-log';
import { type RunRecord, totalSteps } from '../../store/slices/runs';
import { chartState } from '../charts/chart-state';
import { decimate } from '../charts/decimate';
import { type Line, StepChart } from '../charts/StepChart';
import { Smoother } from '../charts/smooth';
import { useApp, useShallowStudio, useStudio, useVersion } from '../context';
import { Segmented } from '../controls/Segmented';
import { loss } from '../format';
import { clampSmoothing } from '../shell/use-shortcuts';
import { SERIES } from '../shell/run-view';
import { strings } from '../strings';
import { runColor } from './run-color';

const words = strings.train;
const POINTS = 1200;
/** Letters of an event's sentence that an axis has room for; the list has all. */
const MARK_LETTERS = 28;
const clipped = (text: string) => (text.length > MARK_LETTERS ? `${text.slice(0, MARK_LETTERS).trimEnd()}…` : text);
const readLoss = (value: number | undefined) => (value === undefined || Number.isNaN(value) ? words.noValue : loss(value));

export function LossChart({ run }: { run: RunRecord }) {
  const { log, edit } = useApp();
  const version = useVersion(run.id);
  const { smoothing, logLoss } = useStudio((state) => state.layout);
  const zoom = useStore(chartState, (state) => state.zoom);
  const hover = useStore(chartState, (state) => state.hover);
  const others = useOthers(run);
  const [smoother] = useState(() => new Smoother());
  const raw = log.column(run.id, SERIES.loss);
  const smooth = smoother.values(raw, smoothing);
  const { steps, losses } = log.evals(run.id);
  const { training } = run.config;

  // biome-ignore lint/correctness/useExhaustiveDependencies: the version stands for the columns' content.
  const lines = useMemo((): Line[] => {
    const from = zoom?.[0] ?? 1;
    const to = zoom?.[1] ?? raw.length;
    const drawn: Line[] = [
      { key: 'raw', label: words.trainShort, ...decimate(raw, from, to, POINTS), color: 'accent', width: 1, alpha: 0.3, silent: true },
      ...others.lines(log),
      { key: 'train', label: words.trainShort, ...decimate(smooth, from, to, POINTS), color: 'accent', width: 1.8 },
    ];
    if (steps.length > 0) drawn.push({ key: 'val', label: words.validationShort, x: [...steps], y: [...losses], color: 'accent', width: 1, dash: [2, 2], rings: true });
    return drawn;
  }, [version, zoom, smoothing, others.key]);
  const before = steps[0] === 0 ? losses[0] : undefined;
  const rules = useMemo(() => (before === undefined ? [] : [{ y: before, label: words.beforeTraining(readLoss(before)) }]), [before]);
  const marks = useMemo(
    () => [
      ...(training.warmup > 0 && training.warmup < training.steps ? [{ x: training.warmup, label: words.warmupEnds }] : []),
      ...run.phases.filter((phase) => phase.from > 0).map((phase) => ({ x: phase.from, label: phase.name })),
      ...run.notes.filter((note) => note.step > 0).map((note) => ({ x: note.step, label: clipped(note.text) })),
      ...(run.recovery ? [{ x: run.recovery.from, label: words.resumedHere }, { x: run.recovery.lostAt, label: words.deviceLost }] : []),
    ],
    [training, run.phases, run.notes, run.recovery],
  );

  const at = hover === null ? raw.length : Math.min(hover, raw.length);
  // Under the cursor the last validation that had been measured by then; else the newest.
  const measured = hover === null ? losses.length - 1 : steps.findLastIndex((step) => step <= hover);
  return (
    <div className="loss-chart">
      <div className="ph">
        <h2>{words.loss}</h2>
        <div className="legend">
          <span><i className="swatch line" style={{ background: 'var(--accent)' }} />{words.trainShort} <b className="num" data-testid="loss-value">{readLoss(smooth[at - 1])}</b></span>
          <span><RingSwatch />{words.validationShort} <b className="num" data-testid="val-loss-value">{readLoss(losses[measured])}</b></span>
          {others.legend(log, hover)}
        </div>
        <div className="end desk">
          <span className="row fs12 dim">
            {words.smoothing}
            <Slider.Root className="slider smoothing" min={0} max={0.99} step={0.01} value={[smoothing]} onValueChange={([value = smoothing]) => edit.layout({ smoothing: clampSmoothing(value) })}>
              <Slider.Track className="slider-track"><Slider.Range className="slider-range" /></Slider.Track>
              <Slider.Thumb className="slider-thumb" aria-label={words.smoothing} />
            </Slider.Root>
            <span className="num smoothing-value">{smoothing.toFixed(2)}</span>
          </span>
          <Segmented
            label={words.axis} value={logLoss ? 'log' : 'linear'} onChange={(value) => edit.layout({ logLoss: value === 'log' })}
            options={[{ value: 'linear', label: words.linear }, { value: 'log', label: words.log }]}
          />
        </div>
      </div>
      <StepChart
        title={words.loss} summary={strings.chart.summary(words.loss, raw.length, readLoss(raw[raw.length - 1]))} lines={lines} steps={totalSteps(run)}
        marks={marks} rules={rules} log={logLoss} padRight={others.any ? 112 : 18}
      />
    </div>
  );
}

function RingSwatch() {
  return (
    <svg width="14" height="8" aria-hidden="true">
      <path d="M0 4h14" stroke="var(--accent)" strokeDasharray="2 2" />
      <circle cx="7" cy="4" r="2.6" fill="var(--pane)" stroke="var(--accent)" />
    </svg>
  );
}

/** The other runs of this visit that are not hidden: their validation, named at the line's end. */
function useOthers(run: RunRecord) {
  const ids = useShallowStudio((state) => state.runs.order.filter((id) => id !== run.id && !state.layout.hiddenRuns.includes(id)));
  const names = useShallowStudio((state) => ids.map((id) => state.runs.byId[id]?.name ?? id));
  const versions = useStudio((state) => ids.map((id) => state.metrics.version[id]).join());
  const order = useStudio((state) => state.runs.order);
  const shown = ids.map((id, i) => ({ id, name: names[i] as string, color: runColor(order, run.id, id) }));
  return {
    any: shown.length > 0,
    key: `${ids.join()}/${versions}`,
    lines: (log: MetricLog): Line[] =>
      shown.map(({ id, name, color }) => {
        const { steps, losses } = log.evals(id);
        return { key: id, label: name, x: [...steps], y: [...losses], color, width: 1.4, endLabel: name };
      }),
    legend: (log: MetricLog, hover: number | null) =>
      shown.slice(0, 3).map(({ id, name, color }) => {
        const { steps, losses } = log.evals(id);
        const at = hover === null ? losses.length - 1 : steps.findLastIndex((step) => step <= hover);
        return <span key={id} className="desk"><i className="swatch line" style={{ background: `var(--${color})` }} />{name} <b className="num">{readLoss(losses[at])}</b></span>;
      }),
  };
}
