// A streaming line chart over training steps: shared cursor and zoom, direct labels, events as verticals. uPlot draws it.
import { type KeyboardEvent, useEffect, useLayoutEffect, useMemo, useRef } from 'react';
import { type StoreApi, useStore } from 'zustand';
import uPlot from 'uplot';
import { useStudio } from '../context';
import { tickFormat } from '../format';
import { strings } from '../strings';
import { type ChartState, chartState } from './chart-state';
import { faded, type Palette, readPalette } from './palette';
import { logTicks } from './ticks';

export interface Line {
  /** Stable within the chart: the chart is rebuilt when keys or styles change. */
  key: string;
  label: string;
  x: readonly number[];
  y: readonly (number | null)[];
  /** A token: 'accent', 'text', 's-2'. */
  color: string;
  width: number;
  alpha?: number;
  dash?: readonly number[];
  /** Rings at the values (validation). */
  rings?: boolean;
  /** Written at the line's end. */
  endLabel?: string;
  /** No dot under the cursor. */
  silent?: boolean;
  /** The spread over seeds at each x: drawn as a band. */
  band?: { low: readonly number[]; high: readonly number[] };
}
export interface StepChartProps {
  title: string;
  lines: readonly Line[];
  /** Last step of the run: the axis shows the whole run from the start. */
  steps: number;
  marks?: readonly { x: number; label: string }[];
  rules?: readonly { y: number; label: string }[];
  log?: boolean;
  /** The axis starts at zero. */
  fromZero?: boolean;
  format?: (value: number) => string;
  padRight?: number;
  /** Drawn small: fewer ticks. */
  small?: boolean;
  /** Another axis than steps; charts with the same key share the cursor. */
  axis?: { key: string; format: (value: number) => string };
  /** Whose cursor and zoom it shares. */
  shared?: StoreApi<ChartState>;
  /** One sentence for who cannot see the chart. */
  summary: string;
}

const AXIS_FONT = '11px "Plex Mono", monospace';
const NOTE_FONT = '11px "Plex Sans", sans-serif';

export function StepChart(props: StepChartProps) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const theme = useStudio((state) => state.layout.theme);
  const shared = props.shared ?? chartState;
  const zoom = useStore(shared, (state) => state.zoom);
  const shape = props.lines.map((line) => [line.key, line.color, line.width, line.alpha, line.dash, line.rings].join()).join(';');
  const structure = `${shape}|${props.log}|${props.fromZero}|${props.padRight}|${props.small}|${props.axis?.key}|${theme}`;
  const data = useMemo(() => joined(props.lines), [props.lines]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: `structure` stands for everything that makes another chart; the rest is read through `latest`.
  useLayoutEffect(() => {
    const element = host.current;
    if (!element) return;
    const chart = new uPlot(options(latest, readPalette(), element, shared), joined(latest.current.lines), element);
    plot.current = chart;
    fit(chart, latest.current.steps);
    const observer = new ResizeObserver(() => {
      const { width, height } = element.getBoundingClientRect();
      if (width > 0 && height > 0) chart.setSize({ width, height });
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      chart.destroy();
      plot.current = null;
    };
  }, [structure]);

  useLayoutEffect(() => {
    const chart = plot.current;
    if (!chart) return;
    chart.batch(() => {
      chart.setData(data, false);
      fit(chart, props.steps, zoom);
    });
  }, [data, props.steps, zoom]);

  // Labels and rules are drawn by hooks that read `latest`.
  // biome-ignore lint/correctness/useExhaustiveDependencies: redraw is wanted exactly when these change.
  useEffect(() => {
    plot.current?.redraw(false);
  }, [props.marks, props.rules]);

  const onKeyDown = (event: KeyboardEvent) => {
    const { hover } = shared.getState();
    const [low, high] = zoom ?? [0, props.steps];
    const stride = (event.shiftKey ? 10 : 1) * (props.axis ? (high - low) / 100 : 1);
    if (event.key === 'ArrowLeft' || event.key === 'ArrowRight') {
      event.preventDefault();
      const step = Math.min(high, Math.max(low, (hover ?? high) + (event.key === 'ArrowLeft' ? -stride : stride)));
      const chart = plot.current;
      chart?.setCursor({ left: chart.valToPos(step, 'x'), top: 0 });
      shared.setState({ hover: step });
    }
    if (event.key === 'Escape') {
      plot.current?.setCursor({ left: -10, top: -10 });
      shared.setState({ hover: null });
    }
  };

  return (
    // A chart is read with the arrow keys; `figure` alone would not be reachable.
    // biome-ignore lint/a11y/noNoninteractiveTabindex: see above.
    <figure className="chart" aria-label={`${props.title}. ${props.summary} ${strings.chart.keys}`} tabIndex={0} onKeyDown={onKeyDown} ref={host} />
  );
}

/** One table of x and every line's y; a line has no value at the x of another one, which is not a gap. */
function joined(lines: readonly Line[]): uPlot.AlignedData {
  const tables: { x: readonly number[]; ys: (readonly (number | null)[])[] }[] = [];
  const order: { table: number; column: number }[] = [];
  for (const line of lines) {
    let table = tables.findIndex((known) => known.x === line.x);
    if (table < 0) table = tables.push({ x: line.x, ys: [] }) - 1;
    const { ys } = tables[table] as (typeof tables)[number];
    order.push({ table, column: ys.push(line.y) - 1 });
  }
  if (tables.length === 0) return [[]];
  if (tables.length === 1) return [[...(tables[0] as { x: readonly number[] }).x], ...order.map(({ column }) => tables[0]?.ys[column] as (number | null)[])];
  const all = uPlot.join(tables.map(({ x, ys }) => [x as number[], ...(ys as (number | null)[][])] as uPlot.AlignedData));
  const offsets = tables.map((_, i) => 1 + tables.slice(0, i).reduce((sum, { ys }) => sum + ys.length, 0));
  return [all[0], ...order.map(({ table, column }) => all[(offsets[table] as number) + column] as (number | null)[])];
}

function fit(chart: uPlot, steps: number, zoom: readonly [number, number] | null = null): void {
  const [min, max] = zoom ?? [0, steps > 0 ? steps : 1];
  chart.setScale('x', { min, max });
}

/** The y range of what is seen, with a little air; null where there is nothing to see yet. */
function yRange(low: number | null, high: number | null, { log, fromZero }: StepChartProps): [number, number] {
  if (low === null || high === null || !Number.isFinite(low) || !Number.isFinite(high)) return log ? [0.1, 1] : [0, 1];
  if (log) {
    const air = Math.max(1.02, (high / low) ** 0.06);
    return [low / air, high * air];
  }
  const air = (high - low) * 0.07 || Math.abs(high) * 0.05 || 0.5;
  return [fromZero ? 0 : low - air, high + air];
}

function options(latest: { readonly current: StepChartProps }, palette: Palette, element: HTMLElement, shared: StoreApi<ChartState>): uPlot.Options {
  const props = latest.current;
  const { width, height } = element.getBoundingClientRect();
  const color = (token: string) => palette[token] ?? token;
  const axis = { stroke: color('text-3'), font: AXIS_FONT, labelGap: 0 } satisfies uPlot.Axis;
  const anyValue = () => latest.current.lines.some((line) => line.y.some((value) => value !== null));
  const yScale: uPlot.Scale = { range: (_, low, high) => yRange(low, high, latest.current) };
  if (props.log) Object.assign(yScale, { distr: 100, fwd: (value: number) => Math.log(value), bwd: (value: number) => Math.exp(value) });
  const yAxis: uPlot.Axis = {
    ...axis,
    size: 50,
    gap: 6,
    space: props.small ? 30 : 42,
    ticks: { show: false },
    grid: { stroke: color('grid'), width: 1 },
    values: (_, splits) => {
      const say = latest.current.format ?? tickFormat(splits);
      return splits.map((value) => (value === null || !anyValue() ? '' : say(value)));
    },
  };
  if (props.log) Object.assign(yAxis, { splits: (_: uPlot, __: number, low: number, high: number) => logTicks(low, high), filter: (_: uPlot, splits: number[]) => splits });
  const pill = cursorPill(element, shared, latest);
  return {
    width: Math.max(40, width),
    height: Math.max(40, height),
    padding: [8, props.padRight ?? 20, 0, 0],
    legend: { show: false },
    scales: { x: { time: false, auto: false }, y: yScale },
    cursor: {
      y: false,
      sync: { key: props.axis?.key ?? 'steps', scales: ['x', null] },
      drag: { x: true, y: false, setScale: false },
      points: {
        size: 7,
        width: 1.5,
        show: (u, index) => (latest.current.lines[index - 1]?.silent ? undefined : cursorPoint(u, index, palette)) as unknown as HTMLElement,
      },
      bind: {
        dblclick: () => () => {
          shared.setState({ zoom: null });
          return null;
        },
      },
    },
    axes: [
      {
        ...axis, size: 26, gap: 5, space: props.small ? 60 : 90,
        grid: { show: false }, border: { show: true, stroke: color('line-2'), width: 1 }, ticks: { stroke: color('line-2'), width: 1, size: 4 },
        ...(props.axis ? { values: (_: uPlot, splits: number[]) => splits.map((value) => props.axis?.format(value) ?? '') } : {}),
        ...(props.axis ? {} : { incrs: [1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1e3, 2e3, 2.5e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5] }),
      },
      yAxis,
    ],
    series: [
      {},
      ...props.lines.map((line): uPlot.Series => {
        const stroke = line.alpha === undefined ? color(line.color) : faded(color(line.color), line.alpha);
        const series: uPlot.Series = {
          label: line.label,
          stroke,
          width: line.width,
          spanGaps: line.rings ?? false,
          pxAlign: 0,
          points: line.rings ? { show: true, size: 6, width: 1.4, stroke: color(line.color), fill: color('pane') } : { show: false },
        };
        if (line.dash) series.dash = [...line.dash];
        return series;
      }),
    ],
    hooks: {
      drawAxes: [(u) => drawRules(u, latest.current, palette)],
      draw: [(u) => drawLabels(u, latest.current, palette)],
      ready: [(u) => pill.attach(u)],
      setCursor: [(u) => pill.place(u)],
      setSelect: [
        (u) => {
          const { left, width: span } = u.select;
          if (span < 6) return;
          const ends = [u.posToVal(left, 'x'), u.posToVal(left + span, 'x')] as const;
          const [low, high] = props.axis ? ends : [Math.max(0, Math.floor(ends[0])), Math.ceil(ends[1])];
          u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
          if (props.axis || high - low >= 2) shared.setState({ zoom: [low, high] });
        },
      ],
    },
  };
}

function cursorPoint(_: uPlot, index: number, palette: Palette): HTMLElement {
  const point = document.createElement('div');
  point.className = 'u-point';
  point.style.borderColor = palette.pane ?? '';
  point.dataset.series = String(index);
  return point;
}

/** The step under the cursor, in a pill on the axis; and the hover of all charts, told by the one that has the pointer. */
function cursorPill(element: HTMLElement, shared: StoreApi<ChartState>, latest: { readonly current: StepChartProps }): { attach(u: uPlot): void; place(u: uPlot): void } {
  const pill = document.createElement('div');
  pill.className = 'u-pill';
  pill.hidden = true;
  return {
    attach: (u) => {
      u.over.parentElement?.append(pill);
      u.over.addEventListener('mouseleave', () => shared.setState({ hover: null }));
    },
    place: (u) => {
      const left = u.cursor.left ?? -10;
      pill.hidden = left < 0;
      if (left < 0) return;
      const { axis } = latest.current;
      const at = u.posToVal(left, 'x');
      const step = axis ? at : Math.round(at);
      pill.textContent = axis ? axis.format(at) : String(step);
      pill.style.left = `${u.over.offsetLeft + left}px`;
      pill.style.top = `${u.over.offsetTop + u.over.offsetHeight + 2}px`;
      if (element.matches(':hover')) shared.setState({ hover: step });
    },
  };
}

/** Under the lines: horizontal rules and vertical marks. */
function drawRules(u: uPlot, { lines, marks = [], rules = [] }: StepChartProps, palette: Palette): void {
  const { ctx, bbox } = u;
  const unit = devicePixelRatio;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  for (const line of lines) if (line.band) drawBand(u, line.x, line.band, faded(palette[line.color] ?? '', 0.12));
  ctx.lineWidth = unit;
  for (const { y } of rules) {
    const at = Math.round(u.valToPos(y, 'y', true)) + 0.5;
    ctx.strokeStyle = palette.base ?? '';
    ctx.setLineDash([5 * unit, 4 * unit]);
    stroke(ctx, bbox.left, at, bbox.left + bbox.width, at);
  }
  ctx.font = scaled(NOTE_FONT, unit);
  ctx.textBaseline = 'alphabetic';
  ctx.textAlign = 'left';
  let labelEnd = Number.NEGATIVE_INFINITY;
  for (const { x, label } of [...marks].sort((a, b) => a.x - b.x)) {
    const at = Math.round(u.valToPos(x, 'x', true)) + 0.5;
    if (at < bbox.left || at > bbox.left + bbox.width) continue;
    ctx.strokeStyle = palette['line-2'] ?? '';
    ctx.setLineDash([2 * unit, 3 * unit]);
    stroke(ctx, at, bbox.top, at, bbox.top + bbox.height);
    // Two labels that would overlap: the later one is left out, its line stays.
    if (at + 5 * unit < labelEnd) continue;
    ctx.fillStyle = palette['text-2'] ?? '';
    haloed(ctx, label, at + 5 * unit, bbox.top + bbox.height - 8 * unit, palette.pane ?? '', unit);
    labelEnd = at + 5 * unit + ctx.measureText(label).width + 6 * unit;
  }
  ctx.restore();
}

function drawBand({ ctx, valToPos }: uPlot, x: readonly number[], { low, high }: { low: readonly number[]; high: readonly number[] }, fill: string): void {
  ctx.beginPath();
  x.forEach((at, i) => ctx.lineTo(valToPos(at, 'x', true), valToPos(low[i] as number, 'y', true)));
  for (let i = x.length - 1; i >= 0; i--) ctx.lineTo(valToPos(x[i] as number, 'x', true), valToPos(high[i] as number, 'y', true));
  ctx.closePath();
  ctx.fillStyle = fill;
  ctx.fill();
}

/** Over the lines: the names of rules, and of lines at their ends, pushed apart. */
function drawLabels(u: uPlot, { lines, rules = [] }: StepChartProps, palette: Palette): void {
  const { ctx, bbox } = u;
  const unit = devicePixelRatio;
  const ends = lines
    .flatMap((line) => {
      if (!line.endLabel) return [];
      for (let i = line.y.length - 1; i >= 0; i--) {
        const value = line.y[i];
        if (value === null || value === undefined) continue;
        return [{ label: line.endLabel, color: palette[line.color] ?? '', x: u.valToPos(line.x[i] as number, 'x', true), y: u.valToPos(value, 'y', true) }];
      }
      return [];
    })
    .sort((a, b) => a.y - b.y);
  ctx.save();
  ctx.font = scaled(NOTE_FONT, unit);
  ctx.textAlign = 'right';
  ctx.textBaseline = 'alphabetic';
  for (const { y, label } of rules) {
    const at = u.valToPos(y, 'y', true);
    if (at < bbox.top || at > bbox.top + bbox.height) continue;
    const above = at - 18 * unit > bbox.top;
    ctx.fillStyle = palette['text-2'] ?? '';
    haloed(ctx, label, bbox.left + bbox.width - 4 * unit, above ? at - 5 * unit : at + 14 * unit, palette.pane ?? '', unit);
  }
  ctx.textAlign = 'left';
  ctx.textBaseline = 'middle';
  let free = Number.NEGATIVE_INFINITY;
  for (const end of ends) {
    const y = Math.max(end.y, free);
    ctx.fillStyle = end.color;
    ctx.fillText(end.label, Math.min(end.x + 8 * unit, bbox.left + bbox.width + 8 * unit), y);
    free = y + 14 * unit;
  }
  ctx.restore();
}

/** Words on a ground of the pane's colour, so that no grid line runs through them. */
function haloed(ctx: CanvasRenderingContext2D, text: string, x: number, y: number, ground: string, unit: number): void {
  ctx.setLineDash([]);
  ctx.lineWidth = 4 * unit;
  ctx.lineJoin = 'round';
  ctx.strokeStyle = ground;
  ctx.strokeText(text, x, y);
  ctx.fillText(text, x, y);
  ctx.lineWidth = unit;
}

function stroke(ctx: CanvasRenderingContext2D, x0: number, y0: number, x1: number, y1: number): void {
  ctx.beginPath();
  ctx.moveTo(x0, y0);
  ctx.lineTo(x1, y1);
  ctx.stroke();
}

const scaled = (font: string, unit: number) => font.replace('11px', `${11 * unit}px`);
