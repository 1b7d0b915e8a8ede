// What each row cost against what it came to: parameters, memory or time along a logarithmic axis.
import { useStore } from 'zustand';
import { frontier } from '../../store/groups';
import { Scatter, type ScatterPair, type ScatterPoint } from '../charts/Scatter';
import { useApp } from '../context';
import { Segmented } from '../controls/Segmented';
import { bytes, clock, millions } from '../format';
import { strings } from '../strings';
import { type Cost, compareState } from './compare-state';
import { type Row, signed } from './rows';
import type { Comparison } from './use-rows';

const words = strings.compare;
const COST: Record<Cost, { of: (row: Row) => number | null | undefined; say: (value: number) => string }> = {
  trainable: { of: (row) => row.run.facts?.trainable, say: millions },
  memory: { of: (row) => row.run.facts?.peakBytes, say: bytes },
  time: { of: (row) => row.seconds, say: clock },
};

export function Pareto({ comparison }: { comparison: Comparison }) {
  const { ask } = useApp();
  const cost = useStore(compareState, (state) => state.cost);
  const points = comparison.rows.filter(comparison.drawn).flatMap((row): ScatterPoint[] => {
    const [x, y] = [COST[cost].of(row), row.group.mean];
    if (!x || y === null) return [];
    const color = comparison.colorOf(row);
    return [{ key: row.key, label: row.group.name, x, y, spread: row.group.spread, color, hollow: row.group.config.method.slug === 'lora', selected: color === 'accent' }];
  });
  const seeds = Math.max(0, ...comparison.rows.map((row) => row.group.losses.length));
  const pairs = comparison.rows.flatMap((row): ScatterPair[] => {
    if (!row.difference || cost !== 'trainable') return [];
    const to = points.find((point) => point.key === row.key);
    const from = points.find((point) => point.label === row.difference?.baseline);
    return from && to ? [{ from, to, label: `Δ ${signed(row.difference.delta)}`, strong: row.difference.beyondChance }] : [];
  });
  return (
    <section className="pane pareto" aria-label={words.pareto}>
      <div className="ph">
        <h2>{words.pareto}</h2>{seeds > 1 && <span className="meta">{words.seeds(seeds)}</span>}
        <span className="end"><Segmented label={words.costLabel} value={cost} onChange={(value) => compareState.setState({ cost: value as Cost })} options={(Object.keys(words.costs) as Cost[]).map((value) => ({ value, label: words.costs[value], testid: `cost-${value}` }))} /></span>
      </div>
      {points.length === 0 ? <p className="pb hint">{words.paretoNone}</p> : (
        <Scatter
          title={words.pareto} summary={words.costsOf[cost]} points={points} frontier={frontier(points)} pairs={pairs} xLabel={words.costsOf[cost]} formatX={COST[cost].say}
          onPick={(key) => ask.select(comparison.rows.find((row) => row.key === key)?.run.id ?? '')}
        />
      )}
    </section>
  );
}
