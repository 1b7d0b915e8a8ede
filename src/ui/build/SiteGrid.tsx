// Layers × modules of the model: press a cell, a column name or a row number, or drag to paint.
import { type KeyboardEvent, useEffect, useMemo, useRef, useState } from 'react';
import type { SiteCard } from '../../store/contract';
import { selectedSites, targetsOf } from '../../store/targets';
import { useApp, useStudio } from '../context';
import { strings } from '../strings';
import { columnName, siteTable } from './site-table';

const words = strings.build;

export function SiteGrid({ sites }: { sites: readonly SiteCard[] }) {
  const { edit } = useApp();
  const targets = useStudio((state) => state.project.draft.targets);
  const selected = useMemo(() => selectedSites(sites, targets), [sites, targets]);
  const table = useMemo(() => siteTable(sites), [sites]);
  const [focus, setFocus] = useState({ row: 0, column: 0 });
  const grid = useRef<HTMLTableElement>(null);
  // What a drag paints: on or off, as its first cell turned.
  const paint = useRef<boolean | null>(null);
  useEffect(() => {
    const end = () => {
      paint.current = null;
    };
    addEventListener('pointerup', end);
    return () => removeEventListener('pointerup', end);
  }, []);

  const put = (names: readonly string[], on: boolean) => {
    const next = new Set(selected);
    for (const name of names) if (on) next.add(name);
    else next.delete(name);
    edit.targets(targetsOf(sites, next));
  };
  /** Turns all on, or all off where all were on. */
  const toggle = (group: readonly SiteCard[]) => {
    const names = group.map((site) => site.name);
    put(names, !names.every((name) => selected.has(name)));
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!move) return;
    event.preventDefault();
    const row = Math.min(table.depths.length, Math.max(0, focus.row + (move[0] as number)));
    const column = Math.min(table.modules.length, Math.max(0, focus.column + (move[1] as number)));
    const next = grid.current?.querySelector<HTMLElement>(`[data-at="${row},${column}"]`);
    if (!next) return;
    setFocus({ row, column });
    next.focus();
  };
  // Row 0 is the column names, column 0 the row numbers; one cell at a time is in the tab order.
  const at = (row: number, column: number) => ({
    'data-at': `${row},${column}`,
    tabIndex: (focus.row === row && focus.column === column) || (focus.row + focus.column === 0 && row === 0 && column === 1) ? 0 : -1,
    onFocus: () => setFocus({ row, column }),
  });
  const queryValue = table.modules.filter((module) => /^(q|v)(_proj)?$|^(query|value)$/.test(module));

  return (
    <>
      <div className="sub">
        <h3>{words.sites}</h3>
        <span className="end">
          <button type="button" className="btn ghost" onClick={() => edit.targets('')}>{words.allLinear}</button>
          {queryValue.length === 2 && (
            <button type="button" className="btn ghost" onClick={() => edit.targets(targetsOf(sites, new Set(sites.filter((site) => queryValue.includes(site.module)).map((site) => site.name))))}>{words.qv}</button>
          )}
        </span>
      </div>
      <table className="sites" aria-label={words.sites} ref={grid} onKeyDown={onKeyDown}>
        <thead>
          <tr>
            <td />
            {table.modules.map((module, column) => (
              <th key={module} scope="col">
                <button type="button" {...at(0, column + 1)} aria-label={words.siteColumn(module)} title={module} onClick={() => toggle(sites.filter((site) => site.module === module))}>{columnName(module)}</button>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {table.depths.map((depth, row) => (
            <tr key={depth}>
              <th scope="row"><button type="button" {...at(row + 1, 0)} aria-label={words.siteRow(depth)} onClick={() => toggle(sites.filter((site) => site.depth === depth))}>{depth}</button></th>
              {table.modules.map((module, column) => {
                const site = table.at(depth, module);
                if (!site) return <td key={module} />;
                const on = selected.has(site.name);
                return (
                  <td key={module}>
                    <button
                      type="button" className="site" aria-pressed={on} {...at(row + 1, column + 1)} title={site.name} aria-label={words.siteCell(depth, module, ...site.shape)}
                      onPointerDown={(event) => {
                        event.currentTarget.releasePointerCapture(event.pointerId);
                        paint.current = !on;
                        put([site.name], !on);
                      }}
                      onPointerEnter={() => paint.current !== null && put([site.name], paint.current)}
                      // Keys only: the pointer has already painted.
                      onClick={(event) => event.detail === 0 && put([site.name], !on)}
                    />
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
      <p className="hint fs12 sites-note">{words.sitesCount(selected.size, sites.length)}</p>
      {targets !== '' && <p className="hint fs11 ell num" title={targets}>{words.sitesPattern} {targets}</p>}
    </>
  );
}
