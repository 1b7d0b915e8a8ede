// The charts of a run: loss above, learning rate, gradient norm and whatever series the method reports below.
import { useMemo } from 'react';
import { useStore } from 'zustand';
import type { MethodCard } from '../../store/contract';
import { type RunRecord, totalSteps } from '../../store/slices/runs';
import { plannedCurve } from '../build/schedule';
import { chartState, resetZoom } from '../charts/chart-state';
import { decimate } from '../charts/decimate';
import { type Line, StepChart } from '../charts/StepChart';
import { useApp, useStudio, useVersion } from '../context';
import { rate, seconds, setting, tick } from '../format';
import { SERIES, rateUnit } from '../shell/run-view';
import { strings } from '../strings';
import { LossChart } from './LossChart';

const words = strings.train;
/** Points that a small chart has room for. */
const SMALL_POINTS = 360;

export function Charts({ run }: { run: RunRecord }) {
  const series = useStudio((state) => state.engine.methods.find((method) => method.slug === run.config.method.slug)?.series) ?? NONE;
  return (
    <div className="charts">
      <LossChart run={run} />
      <div className="small" style={{ '--n': 2 + Math.min(2, series.length) } as React.CSSProperties}>
        <RateChart run={run} />
        <SeriesChart run={run} id={SERIES.norm} label={words.gradientNorm} clip={run.config.training.clip} />
        {series.map(({ id, label }) => <SeriesChart key={id} run={run} id={id} label={label} own />)}
      </div>
      <Pace run={run} />
    </div>
  );
}

const NONE: MethodCard['series'] = [];

/** The value under the cursor, or the newest. */
function useReading(column: Float32Array): number | undefined {
  const hover = useStore(chartState, (state) => state.hover);
  const value = hover === null ? column[column.length - 1] : column[Math.max(0, hover - 1)];
  return value === undefined || Number.isNaN(value) ? undefined : value;
}

function RateChart({ run }: { run: RunRecord }) {
  const { log } = useApp();
  const version = useVersion(run.id);
  const zoom = useStore(chartState, (state) => state.zoom);
  const { training } = run.config;
  const column = log.column(run.id, SERIES.lr);
  const reading = useReading(column);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the version stands for the column's content.
  const lines = useMemo((): Line[] => {
    const done = decimate(column, zoom?.[0] ?? 1, zoom?.[1] ?? column.length, SMALL_POINTS);
    // What is ahead is drawn only for the phase that the settings describe.
    const ahead = column.length < training.steps ? plannedCurve(training, column.length, SMALL_POINTS) : { x: [], y: [] };
    return [
      { key: 'ahead', label: words.lr, ...ahead, color: 'line-2', width: 1.2, dash: [3, 3], silent: true },
      { key: 'lr', label: words.lr, ...done, color: 'text', width: 1.4 },
    ];
  }, [version, zoom, training]);
  return (
    <SmallChart label={words.lr} reading={reading === undefined ? words.noValue : reading === 0 ? '0' : reading.toExponential(2)}>
      <StepChart title={words.lr} summary={strings.chart.summary(words.lr, column.length, reading === undefined ? '' : setting(reading))} lines={lines} steps={totalSteps(run)} fromZero small />
    </SmallChart>
  );
}

function SeriesChart({ run, id, label, clip = 0, own = false }: { run: RunRecord; id: string; label: string; clip?: number; own?: boolean }) {
  const { log } = useApp();
  const version = useVersion(run.id);
  const zoom = useStore(chartState, (state) => state.zoom);
  const column = log.column(run.id, id);
  const reading = useReading(column);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the version stands for the column's content.
  const lines = useMemo((): Line[] => {
    const points = decimate(column, zoom?.[0] ?? 1, zoom?.[1] ?? column.length, SMALL_POINTS);
    return [{ key: id, label, ...points, color: own ? 'accent' : 'text', width: own ? 1.6 : 1 }];
  }, [version, zoom, id, label, own]);
  const rules = useMemo(() => (clip > 0 ? [{ y: clip, label: words.clipAt(setting(clip)) }] : []), [clip]);
  const said = reading === undefined ? words.noValue : Number.isInteger(reading) ? String(reading) : tick(reading);
  return (
    <SmallChart label={label} reading={said}>
      <StepChart title={label} summary={strings.chart.summary(label, column.length, said)} lines={lines} steps={totalSteps(run)} rules={rules} fromZero={!own} small />
    </SmallChart>
  );
}

function SmallChart({ label, reading, children }: { label: string; reading: string; children: React.ReactNode }) {
  return (
    <div className="small-chart">
      <div className="ph"><h2 className="ell">{label}</h2><span className="end num">{reading}</span></div>
      {children}
    </div>
  );
}

/** How fast it goes, as the engine measured it. */
function Pace({ run }: { run: RunRecord }) {
  const zoomed = useStore(chartState, (state) => state.zoom !== null);
  return (
    <div className="pace">
      {run.secondsPerStep !== null && <span><b>{seconds(run.secondsPerStep)}</b> {words.perStep}</span>}
      {run.tokensPerSecond !== null && <span className="num dim">{rate(run.tokensPerSecond)} {words[rateUnit(run)]}</span>}
      <span className="end">{zoomed && <button type="button" className="btn ghost" onClick={resetZoom}>{strings.chart.resetZoom} <kbd className="kcap">0</kbd></button>}</span>
    </div>
  );
}
