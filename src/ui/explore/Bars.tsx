// Values that fall as bars: kept ones filled, cut ones a dotted outline, so that what is lost stays visible.
import { tick } from '../format';
import { strings } from '../strings';

const words = strings.explore;
const [WIDTH, LEFT, BOTTOM] = [360, 38, 16];

/** `keep` null: nothing here is cut. `over`: another list on the same axis, as a line. */
export function Bars({ title, values, keep, log = false, small = false, over = null }: {
  title: string; values: ArrayLike<number>; keep: number | null; log?: boolean; small?: boolean; over?: { name: string; values: ArrayLike<number> } | null;
}) {
  const height = small ? 60 : 112;
  const list = Array.from(values);
  const line = over ? Array.from(over.values).slice(0, list.length) : [];
  const positive = [...list, ...line].filter((value) => value > 0);
  const top = Math.max(...positive, 0) || 1;
  // A log axis ends three decades down at the latest: below that a bar says no more.
  const low = log ? Math.max(Math.min(...positive, top) * 0.7, top * 1e-3) : 0;
  const y = (value: number) => {
    const share = log ? Math.log(Math.max(value, low) / low) / Math.log(top / low) : value / top;
    return height - BOTTOM - (height - BOTTOM - 8) * (Number.isFinite(share) ? share : 1);
  };
  const step = (WIDTH - LEFT) / Math.max(1, list.length);
  const gap = step > 6 ? 2 : step > 3 ? 1 : 0;
  const ticks = log ? decades(low, top) : [0, Number(top.toPrecision(2))];
  const numbered = Array.from(list, (_, i) => i + 1).filter((n) => n === 1 || n === list.length || (list.length <= 16 && step > 14));
  const said = words.barsSaid(title, list.map(tick).slice(0, 12).join(', '), list.length, keep);
  return (
    <svg className="bars" viewBox={`0 0 ${WIDTH} ${height}`} role="img" aria-label={said}>
      {ticks.map((value) => <g key={value}><path d={`M${LEFT} ${y(value)}H${WIDTH}`} stroke="var(--grid)" /><text className="axis" x={LEFT - 6} y={y(value) + 4} textAnchor="end">{tick(value)}</text></g>)}
      {list.map((value, i) => {
        const kept = keep === null || i < keep;
        const [x, w] = [LEFT + i * step, Math.max(1, step - gap)];
        // biome-ignore lint/suspicious/noArrayIndexKey: a bar is its place.
        return <rect key={i} className={kept ? 'bar' : 'bar cut'} x={kept ? x : x + 0.5} y={y(value)} width={kept ? w : Math.max(0.5, w - 1)} height={Math.max(0, height - BOTTOM - y(value))}><title>{`${i + 1}: ${tick(value)}`}</title></rect>;
      })}
      {line.length > 1 && (
        <>
          <path d={line.map((value, i) => `${i ? 'L' : 'M'}${LEFT + (i + 0.5) * step} ${y(value)}`).join('')} fill="none" stroke="var(--pane)" strokeWidth="4" />
          <path d={line.map((value, i) => `${i ? 'L' : 'M'}${LEFT + (i + 0.5) * step} ${y(value)}`).join('')} fill="none" stroke="var(--base)" strokeWidth="1.4" strokeDasharray="5 4" />
          <text className="note was" x={WIDTH - 2} y={Math.max(12, y(line.at(-1) as number) - 6)} textAnchor="end">{over?.name}</text>
        </>
      )}
      {keep !== null && keep < list.length && <path d={`M${LEFT + keep * step - gap / 2} 4V${height - BOTTOM}`} stroke="var(--text)" />}
      <path d={`M${LEFT} ${height - BOTTOM + 0.5}H${WIDTH}`} stroke="var(--line-2)" />
      {numbered.map((n) => <text key={n} className="axis" x={LEFT + (n - 0.5) * step} y={height - 3} textAnchor="middle">{n}</text>)}
    </svg>
  );
}

/** Powers of ten in a range, and its top where there is none. */
function decades(low: number, top: number): number[] {
  const ticks: number[] = [];
  for (let power = Math.ceil(Math.log10(low)); 10 ** power <= top; power++) ticks.push(10 ** power);
  return ticks.length > 0 ? ticks : [Number(top.toPrecision(2))];
}
