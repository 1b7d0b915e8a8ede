// Runs as points: what they cost along a logarithmic axis, what they came to up the side. The step line is what nothing beats in both.
import { type KeyboardEvent, useLayoutEffect, useRef, useState } from 'react';
import { tickFormat } from '../format';
import { linearTicks, logTicks } from './ticks';

export interface ScatterPoint {
  key: string;
  label: string;
  x: number;
  y: number;
  /** Deviation over seeds; drawn as a bar. */
  spread: number | null;
  color: string;
  /** A baseline: drawn hollow. */
  hollow: boolean;
  selected: boolean;
}
export interface ScatterPair { from: ScatterPoint; to: ScatterPoint; label: string; strong: boolean }

const PAD = { left: 56, right: 18, top: 14, bottom: 44 };
const LINE = 14;

export function Scatter({ title, summary, points, frontier, pairs, xLabel, formatX, onPick }: {
  title: string; summary: string; points: readonly ScatterPoint[]; frontier: readonly { x: number; y: number }[]; pairs: readonly ScatterPair[];
  xLabel: string; formatX: (value: number) => string; onPick: (key: string) => void;
}) {
  const host = useRef<HTMLDivElement>(null);
  const [{ width, height }, setSize] = useState({ width: 480, height: 320 });
  useLayoutEffect(() => {
    const element = host.current;
    if (!element) return;
    const observer = new ResizeObserver(() => setSize({ width: element.clientWidth, height: element.clientHeight }));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  const [x0, x1] = range(points.map(({ x }) => x), true);
  const [y0, y1] = range(points.flatMap(({ y, spread }) => [y - (spread ?? 0), y + (spread ?? 0)]), false);
  const right = width - PAD.right;
  const bottom = height - PAD.bottom;
  const px = (x: number) => PAD.left + ((right - PAD.left) * Math.log(x / x0)) / Math.log(x1 / x0);
  const py = (y: number) => bottom - ((bottom - PAD.top) * (y - y0)) / (y1 - y0);
  const yTicks = linearTicks(y0, y1, 6);
  const sayY = tickFormat(yTicks);
  const steps = frontier.map(({ x, y }, i) => `${i === 0 ? `M${px(x)} ${PAD.top}` : `H${px(x)}`}V${py(y)}`).join('');
  const labels = placed(points.map((point) => ({ point, x: px(point.x), y: py(point.y) })), right);
  const onKey = (event: KeyboardEvent, key: string) => {
    if (event.key !== 'Enter' && event.key !== ' ') return;
    event.preventDefault();
    onPick(key);
  };

  return (
    <div className="scatter" ref={host}>
      {/* biome-ignore lint/a11y/useSemanticElements: a drawing with points in it; svg has no other group. */}
      <svg width={width} height={height} role="group" aria-label={`${title}. ${summary}`}>
        {yTicks.map((at) => (
          <g key={at}>
            <path d={`M${PAD.left} ${py(at)}H${right}`} stroke="var(--grid)" />
            <text x={PAD.left - 8} y={py(at) + 4} textAnchor="end" className="axis">{sayY(at)}</text>
          </g>
        ))}
        <path d={`M${PAD.left} ${bottom + 0.5}H${right}`} stroke="var(--line-2)" />
        {logTicks(x0, x1, 4).map((at) => (
          <g key={at}>
            <path d={`M${px(at)} ${bottom}v4`} stroke="var(--line-2)" />
            <text x={px(at)} y={bottom + 17} textAnchor="middle" className="axis">{formatX(at)}</text>
          </g>
        ))}
        <text x={right} y={height - 6} textAnchor="end" className="note">{xLabel}</text>
        {frontier.length > 0 && (
          <>
            <path d={`${steps}H${right}V${PAD.top}Z`} fill="var(--text)" fillOpacity=".035" />
            <path d={`${steps}H${right}`} fill="none" stroke="var(--line-2)" />
          </>
        )}
        {pairs.map(({ from, to, label, strong }) => (
          <g key={to.key}>
            <path d={`M${px(from.x)} ${py(from.y)}L${px(to.x)} ${py(to.y)}`} stroke="var(--text-2)" strokeDasharray="2 3" />
            <text x={(px(from.x) + px(to.x)) / 2 - 8} y={(py(from.y) + py(to.y)) / 2 + 4} textAnchor="end" className={strong ? 'axis strong' : 'axis'}>{label}</text>
          </g>
        ))}
        {points.map((point) => (
          // biome-ignore lint/a11y/useSemanticElements: a point of a drawing; svg has no button.
          <g key={point.key} role="button" tabIndex={0} className="point" aria-pressed={point.selected} aria-label={`${point.label}: ${formatX(point.x)}, ${sayY(point.y)}`} onClick={() => onPick(point.key)} onKeyDown={(event) => onKey(event, point.key)}>
            {point.spread !== null && <path d={`M${px(point.x)} ${py(point.y - point.spread)}V${py(point.y + point.spread)}`} stroke={`var(--${point.color})`} />}
            <circle cx={px(point.x)} cy={py(point.y)} r="14" fill="transparent" />
            <circle cx={px(point.x)} cy={py(point.y)} r="4.5" fill={point.hollow ? 'var(--pane)' : `var(--${point.color})`} stroke={`var(--${point.color})`} strokeWidth="1.6" />
          </g>
        ))}
        {labels.map(({ point, x, y, anchor }) => <text key={point.key} x={x} y={y} textAnchor={anchor} className="note" fill={`var(--${point.color})`}>{point.label}</text>)}
      </svg>
    </div>
  );
}

/** What is seen of an axis, with a little air; a single value stands in the middle. */
function range(values: readonly number[], log: boolean): [number, number] {
  if (values.length === 0) return log ? [1, 10] : [0, 1];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  if (log) return high / low < 1.3 ? [low / 1.6, high * 1.6] : [low / (high / low) ** 0.12, high * (high / low) ** 0.12];
  const air = (high - low) * 0.15 || Math.abs(high) * 0.02 || 0.5;
  return [low - air, high + air];
}

/** Names beside their points, on the side with room, pushed apart from above. */
function placed(all: readonly { point: ScatterPoint; x: number; y: number }[], right: number): { point: ScatterPoint; x: number; y: number; anchor: 'start' | 'end' }[] {
  const taken: { x0: number; x1: number; y: number }[] = [];
  return [...all].sort((a, b) => a.y - b.y).map(({ point, x, y }) => {
    const wide = point.label.length * 6.2;
    const anchor = x + 9 + wide > right ? 'end' : 'start';
    const [x0, x1] = anchor === 'start' ? [x + 9, x + 9 + wide] : [x - 9 - wide, x - 9];
    let at = y + 4;
    while (taken.some((other) => other.x0 < x1 && x0 < other.x1 && Math.abs(other.y - at) < LINE)) at += 3;
    taken.push({ x0, x1, y: at });
    return { point, x: anchor === 'start' ? x0 : x1, y: at, anchor };
  });
}
