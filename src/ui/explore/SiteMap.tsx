// Layers down, modules across: how much of each module stays, or another reading of it. A cell opens its module.
import { type KeyboardEvent, useMemo, useRef, useState } from 'react';
import { cutOf } from '../../store/explore';
import { type EffectiveRank, effectiveRank, energy, type ExploreCard } from '../../store/contract';
import { columnName } from '../build/site-table';
import { useApp } from '../context';
import { SelectBox } from '../controls/SelectBox';
import { percent, tick } from '../format';
import { strings } from '../strings';
import { useExplore } from './use-explore';

const words = strings.explore;
const READINGS = ['kept', 'energy', 'norm', 'entropy', 'stable', 'participation', 'energy90', 'energy95', 'energy99', 'importance'] as const;
type Reading = (typeof READINGS)[number];

export function SiteMap() {
  const { explore } = useApp();
  const card = useExplore((state) => state.card);
  const given = useExplore((state) => state.given);
  const selected = useExplore((state) => state.selected);
  const importance = useExplore((state) => state.importance);
  const keep = useExplore((state) => cutOf(state).keep.join());
  const [reading, setReading] = useState<Reading>('kept');
  const grid = useRef<HTMLTableElement>(null);
  const table = useMemo(() => (card ? tableOf(card) : null), [card]);
  const values = useMemo(() => (card ? valuesOf(card, reading, keep.split(',').map(Number), importance) : []), [card, reading, keep, importance]);
  if (!card || !table) return null;
  const largest = Math.max(...values.map((value) => Math.max(0, value.share)), 0);
  const onKeyDown = (event: KeyboardEvent) => {
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    const { at: place, index: cell } = (event.target as HTMLElement).dataset;
    const at = place?.split(',').map(Number);
    if (event.key === 'x' && cell !== undefined) {
      explore.select(Number(cell));
      explore.give(Number(cell), given[Number(cell)] === 0 ? null : 0);
    }
    if (!move || !at) return;
    event.preventDefault();
    // Over holes to the next cell in that direction.
    for (let [row, column] = [at[0] as number, at[1] as number]; ; ) {
      [row, column] = [row + (move[0] as number), column + (move[1] as number)];
      if (row < 0 || column < 0 || row >= table.depths.length || column >= table.modules.length) return;
      const next = grid.current?.querySelector<HTMLElement>(`[data-at="${row},${column}"]`);
      if (next) {
        next.focus();
        next.click();
        return;
      }
    }
  };
  return (
    <section className="pane site-map" aria-label={words.map}>
      <div className="ph">
        <h2>{words.map}</h2>
        <span className="end map-choice">
          <SelectBox
            label={words.mapReading} value={reading} testid="map-reading" onChange={(value) => setReading(value as Reading)}
            options={READINGS.filter((value) => value !== 'importance' || importance).map((value) => ({ value, label: words.readings[value] }))}
          />
        </span>
      </div>
      <div className="pb-scroll map-scroll">
        <table className="counts" ref={grid} onKeyDown={onKeyDown} aria-label={words.readings[reading]}>
          <thead><tr><td />{table.modules.map((module) => <th key={module} scope="col" title={module}>{columnName(module)}</th>)}</tr></thead>
          <tbody>
            {table.depths.map((depth, row) => (
              <tr key={depth}>
                <th scope="row">{depth < 0 ? '·' : depth}</th>
                {table.modules.map((module, column) => {
                  const index = table.at(depth, module);
                  const value = index === undefined ? undefined : values[index];
                  if (index === undefined || !value) return <td key={module} />;
                  const share = largest > 0 ? Math.max(0, value.share) / largest : 0;
                  return (
                    <td key={module}>
                      <button
                        type="button" className={value.share <= 0 ? 'count zero' : 'count'} data-at={`${row},${column}`} data-index={index} style={{ '--k': share } as React.CSSProperties} data-high={share > 0.6 ? '' : undefined} data-given={given[index] === undefined ? undefined : ''}
                        tabIndex={index === selected ? 0 : -1} aria-pressed={index === selected} aria-label={words.cell(card.modules[index]?.site ?? '', value.text, given[index] !== undefined)} title={card.modules[index]?.site} onClick={() => explore.select(index)}
                      >
                        {value.text}
                      </button>
                    </td>
                  );
                })}
              </tr>
            ))}
          </tbody>
          {reading === 'kept' && (
            <tfoot>
              <tr>
                <th scope="row">Σ</th>
                {table.modules.map((module) => <td key={module} className="num">{table.depths.reduce((sum, depth) => sum + (values[table.at(depth, module) ?? -1]?.share ?? 0), 0)}</td>)}
              </tr>
            </tfoot>
          )}
        </table>
      </div>
      <p className="pb hint fs12">{words.mapKeys}</p>
    </section>
  );
}

function tableOf({ modules }: ExploreCard) {
  const places = new Map(modules.map((module, i) => [`${module.depth}/${module.module}`, i]));
  return {
    depths: [...new Set(modules.map((module) => module.depth))].sort((a, b) => a - b),
    modules: [...new Set(modules.map((module) => module.module))],
    at: (depth: number, module: string) => places.get(`${depth}/${module}`),
  };
}

/** A reading of every module as text and as a share of the ramp. */
function valuesOf({ modules }: ExploreCard, reading: Reading, keep: readonly number[], importance: Float64Array | null): { text: string; share: number }[] {
  return modules.map((module, i) => {
    const k = keep[i] ?? 0;
    switch (reading) {
      case 'kept': return { text: k > 0 ? String(k) : '', share: k };
      case 'energy': {
        const share = energy(module.sigma.subarray(0, k)) / (energy(module.sigma) || 1);
        return { text: k > 0 ? percent(share).replace(/\.\d+ %$/, '') : '', share };
      }
      case 'norm': {
        const norm = Math.sqrt(energy(module.sigma));
        return { text: tick(Number(norm.toPrecision(2))), share: norm };
      }
      case 'importance': {
        const rise = importance?.[i] ?? 0;
        return { text: tick(Number(rise.toPrecision(2))), share: rise };
      }
      default: {
        const value = effectiveRank(module.sigma)[reading satisfies keyof EffectiveRank];
        return { text: reading.startsWith('energy') ? String(value) : value.toFixed(1), share: value };
      }
    }
  });
}
