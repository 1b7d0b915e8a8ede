// The slider is the chart: the control that cuts the adapter lies on the curve of what the cut costs. Only measured places are drawn.
import { type KeyboardEvent, useEffect, useRef, useState } from 'react';
import { CUT_MODES, type CutMode, type CurvePoint, cutOf, isPlain, most, same, sizeOf } from '../../store/explore';
import { useApp } from '../context';
import { FailureBanner } from '../controls/FailureBanner';
import { Segmented } from '../controls/Segmented';
import { linearTicks } from '../charts/ticks';
import { bytesParts, count, loss, percent, tickFormat } from '../format';
import { strings } from '../strings';
import { takeCut } from '../export/export-choice';
import { useExplore } from './use-explore';
import { SLIDER, SMALLEST_WITHIN } from './use-keys';

const words = strings.explore;

export function CutPane() {
  const { explore } = useApp();
  const mode = useExplore((state) => state.mode);
  const card = useExplore((state) => state.card);
  const error = useExplore((state) => state.measureError ?? state.taskError);
  const gated = card?.modules.some((module) => module.gates) ?? false;
  const label = (which: CutMode) => (which === 'gates' && !gated ? words.modes.trained : words.modes[which]);
  return (
    <section className="pane cut-pane" aria-label={words.truncate}>
      <div className="ph cut-head">
        <h2>{words.truncate}</h2>
        <Segmented label={words.cutBy} value={mode} onChange={(value) => explore.mode(value as CutMode)} options={CUT_MODES.map((value) => ({ value, label: label(value), testid: `mode-${value}` }))} />
        <span className="meta">{mode === 'gates' && !gated ? words.modeHints.trained : words.modeHints[mode]}</span>
      </div>
      {error && <div className="pb"><FailureBanner title={words.measureFailed} failure={error} /></div>}
      {card?.rows.length === 0 && <p className="pb warn fs12">{words.nothingHeldOut}</p>}
      <Knob />
      <ReadOuts />
      <Actions />
    </section>
  );
}

/** Between fewer measured places a line would only guess. */
const LINE_FROM = 5;
const [LEFT, RIGHT, TOP, BOTTOM, THUMB] = [46, 16, 10, 22, 16];

function Knob() {
  const { explore } = useApp();
  const frame = useRef<HTMLDivElement>(null);
  const [size, setSize] = useState({ width: 600, height: 160 });
  useEffect(() => {
    const element = frame.current;
    if (!element) return;
    const observer = new ResizeObserver(() => setSize({ width: element.clientWidth, height: element.clientHeight }));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  const state = useExplore((all) => all);
  const { card, mode, at, points, others, whole, base, measured } = state;
  if (!card) return null;
  const place = at[mode];
  const top = most(card, mode);
  const own = points[mode];
  const shown = others.map((other) => ({ name: other.name, points: other.points[mode].filter((point) => point.at <= top) })).filter((other) => other.points.length >= LINE_FROM);
  const losses = [...own, ...shown.flatMap((other) => other.points)].map((point) => point.loss);
  const [low, high] = span(losses);
  const x = (value: number) => LEFT + ((size.width - LEFT - RIGHT) * value) / Math.max(top, 1e-9);
  const y = (value: number) => TOP + ((size.height - TOP - BOTTOM) * (high - value)) / (high - low);
  const yTicks = linearTicks(low, high, Math.max(2, Math.floor((size.height - 32) / 24)));
  const xTicks = [...linearTicks(0, top, Math.max(2, Math.floor(size.width / 90))).filter((tick) => top - tick > 0.06 * top), top];
  const [format, formatX] = [tickFormat(yTicks), tickFormat(xTicks)];
  const path = (curve: readonly CurvePoint[]) => curve.map((point, i) => `${i ? 'L' : 'M'}${x(point.at).toFixed(1)} ${y(point.loss).toFixed(1)}`).join('');
  const now = measured && same(measured.cut, cutOf(state)) ? measured.result.loss : null;
  const said = now === null ? words.place(words.modes[mode], formatX(place)) : words.placeLoss(words.modes[mode], formatX(place), loss(now));
  const onKeyDown = (event: KeyboardEvent) => {
    const by = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
    if (!by || !event.shiftKey) return;
    event.preventDefault();
    explore.move(place + by * (mode === 'energy' ? 0.05 : 10));
  };
  return (
    <div className="knob" ref={frame}>
      <svg width={size.width} height={size.height} aria-hidden="true">
        {yTicks.map((tick) => <g key={tick}><path d={`M${LEFT} ${y(tick)}H${size.width - RIGHT}`} stroke="var(--grid)" /><text className="axis" x={LEFT - 8} y={y(tick) + 4} textAnchor="end">{format(tick)}</text></g>)}
        {xTicks.map((tick) => <text key={tick} className="axis" x={x(tick)} y={size.height - 6} textAnchor="middle">{formatX(tick)}</text>)}
        <path d={`M${LEFT} ${size.height - BOTTOM + 0.5}H${size.width - RIGHT}`} stroke="var(--line-2)" />
        <rect x={LEFT} y={TOP} width={Math.max(0, x(place) - LEFT)} height={size.height - TOP - BOTTOM} fill="var(--accent)" opacity=".07" />
        {base && <g><path d={`M${LEFT} ${y(base.loss)}H${size.width - RIGHT}`} stroke="var(--base)" strokeDasharray="4 4" /><text className="note was" x={size.width - RIGHT - 4} y={y(base.loss) + 14} textAnchor="end">{words.baseModel}</text></g>}
        {whole && <path d={`M${LEFT} ${y(whole.loss)}H${size.width - RIGHT}`} stroke="var(--accent)" opacity=".4" strokeDasharray="1 4" />}
        {shown.map((other, i) => (
          <g key={other.name}>
            <path d={path(other.points)} fill="none" stroke={`var(--s-${i + 2})`} strokeWidth="1.4" strokeDasharray="5 4" />
            <text className="note" x={size.width - RIGHT - 4} y={y(other.points.at(-1)?.loss ?? low) - 6 - 14 * i} textAnchor="end" style={{ fill: `var(--s-${i + 2})` }}>{words.cutSame(other.name)}</text>
          </g>
        ))}
        {own.length >= LINE_FROM && <path d={path(own)} fill="none" stroke="var(--accent)" strokeWidth="1.4" />}
        {own.map((point) => <circle key={point.at} cx={x(point.at)} cy={y(point.loss)} r="2.6" fill="var(--pane)" stroke="var(--accent)" strokeWidth="1.4" />)}
        <path d={`M${x(place)} 2V${size.height - BOTTOM}`} stroke="var(--text)" />
        <rect className="knob-grip" x={x(place) - 5} y={(now === null ? size.height / 2 : Math.min(size.height - BOTTOM, Math.max(TOP, y(now)))) - 10} width="10" height="20" rx="1" />
      </svg>
      <input
        id={SLIDER} type="range" min={0} max={top} step={mode === 'energy' ? 0.005 : 1} value={place} aria-label={words.slider} aria-valuetext={said} data-testid="cut-slider"
        style={{ left: LEFT - THUMB / 2, right: RIGHT - THUMB / 2, top: 0, bottom: BOTTOM }} onChange={(event) => explore.move(Number(event.target.value))} onKeyDown={onKeyDown}
      />
    </div>
  );
}

/** A range with a little air, which does not jump at every new point. */
function span(values: readonly number[]): [low: number, high: number] {
  if (values.length === 0) return [0, 1];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const air = Math.max(0.12 * (high - low), 0.002 * Math.abs(high), 1e-6);
  return [low - air, high + air];
}

function ReadOuts() {
  const state = useExplore((all) => all);
  const { card, whole, measured, measuring } = state;
  if (!card) return null;
  const cut = cutOf(state);
  const { components, parameters } = sizeOf(state, cut.keep);
  const all = most(card, state.mode === 'gates' ? 'gates' : 'components');
  const now = measured && same(measured.cut, cut) ? measured.result.loss : null;
  const rise = now !== null && whole ? now / whole.loss - 1 : null;
  const [size, unit] = bytesParts(4 * parameters);
  return (
    <div className="outs">
      <Out value={count(components)} small={`${strings.common.of} ${count(all)}`} name={state.mode === 'gates' ? words.outs.ranks : words.outs.components} testid="cut-components" />
      <Out value={count(parameters)} name={words.outs.parameters} testid="cut-parameters" />
      <Out value={size} small={unit} name={words.outs.file} />
      <Out value={now === null ? (measuring ? '…' : '–') : loss(now)} name={words.outs.loss} testid="cut-loss" busy={measuring} {...(now === null ? {} : { exact: now })} />
      <Out value={rise === null ? '–' : `${rise < 0 ? '−' : '+'}${percent(Math.abs(rise))}`} name={words.outs.rise} warn={rise !== null && rise > 0.03} testid="cut-rise" />
    </div>
  );
}

function Out({ value, small, name, warn = false, busy = false, testid, exact }: { value: string; small?: string; name: string; warn?: boolean; busy?: boolean; testid?: string; exact?: number }) {
  return (
    <div aria-busy={busy}>
      <span className={warn ? 'read warn' : 'read'} data-testid={testid} data-exact={exact}>{value}{small && <small>{small}</small>}</span>
      <p>{name}</p>
    </div>
  );
}

function Actions() {
  const { explore, edit } = useApp();
  const task = useExplore((state) => state.task);
  const whole = useExplore((state) => state.whole);
  const given = useExplore((state) => Object.keys(state.given).length);
  const measured = useExplore((state) => state.measured);
  const card = useExplore((state) => state.card);
  const nothing = useExplore((state) => state.strength === 0 || sizeOf(state, cutOf(state).keep).components === 0);
  const plain = useExplore(isPlain);
  const isBusy = task !== null;
  return (
    <div className="cut-actions">
      {isBusy ? (
        <>
          <span className="fs12 dim num" role="status">{words.tasks[task.kind]} {task.total > 0 && task.kind !== 'importance' ? `${task.done} ${strings.common.of} ${task.total}` : ''}</span>
          <button type="button" className="btn ghost" onClick={explore.cancel}>{words.cancel}</button>
        </>
      ) : (
        <>
          <button type="button" className="btn" disabled={!whole} onClick={() => void explore.curve()} data-testid="curve-button">{words.curve}</button>
          <button type="button" className="btn" disabled={!whole} onClick={() => void explore.smallest(SMALLEST_WITHIN)} data-testid="smallest-button">{words.smallest(percent(SMALLEST_WITHIN))} <kbd className="kcap">W</kbd></button>
        </>
      )}
      {given > 0 && <button type="button" className="btn ghost" onClick={explore.clearGiven}>{words.given(given)}</button>}
      {!plain && given === 0 && <span className="hint fs12">{words.notOnCurve}</span>}
      <span className="grow" />
      {measured && card && <span className="hint fs12 num measured-in">{words.measuredIn(card.rows.length, measured.result.seconds)}</span>}
      <button type="button" className="btn" disabled={nothing} onClick={() => { takeCut(); edit.open('export'); }} data-testid="export-cut">{words.takeAway}</button>
    </div>
  );
}
