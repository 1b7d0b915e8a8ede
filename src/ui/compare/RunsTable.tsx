// The runs as rows: pinned names, results, costs, what differs in the setups, words. Sorted by any column; any column can be pinned.
import { columnPinningFeature, createSortedRowModel, rowSortingFeature, sortFn_text, tableFeatures, useTable, type ColumnDef } from '@tanstack/react-table';
import { ArrowDown, ArrowUp, Pin, PinOff } from 'lucide-react';
import { useMemo } from 'react';
import { useApp, useStudio } from '../context';
import { Icon } from '../controls/Icon';
import { strings } from '../strings';
import { type Column, deltaText, type Row } from './rows';
import type { Comparison } from './use-rows';

const words = strings.compare;
const features = tableFeatures({ columnPinningFeature, rowSortingFeature, sortedRowModel: createSortedRowModel(), sortFns: { text: sortFn_text } });
const SECTIONS = ['who', 'result', 'cost', 'setup', 'words'] as const;

export function RunsTable({ comparison, columns, onlyDifferences }: { comparison: Comparison; columns: readonly Column[]; onlyDifferences: boolean }) {
  const byId = useMemo(() => new Map(columns.map((column) => [column.id, column])), [columns]);
  const defs = useMemo(
    () => columns.map((column): ColumnDef<typeof features, Row> => ({ id: column.id, accessorFn: (row) => column.sort(row), sortUndefined: 'last', header: column.label })),
    [columns],
  );
  const table = useTable({ features, columns: defs, data: comparison.rows, getRowId: (row: Row) => row.key, initialState: { columnPinning: { start: ['run'], end: [] } } });
  const pinned = table.getStartLeafColumns();
  const free = SECTIONS.flatMap((section) => table.getCenterLeafColumns().filter((column) => byId.get(column.id)?.section === section));
  const shown = [...pinned, ...free].flatMap((column) => {
    const found = byId.get(column.id);
    return found ? [{ column, ...found }] : [];
  });
  // Pinned cells stand at the sum of the widths before them.
  const leftOf = (index: number) => shown.slice(0, index).reduce((sum, { width }) => sum + width, 0);
  const pin = (index: number) => (index < pinned.length ? { className: index === pinned.length - 1 ? 'pinned last' : 'pinned', style: { left: leftOf(index) } } : { className: '', style: {} });
  const starts = (index: number) => (index >= pinned.length && (index === pinned.length || shown[index]?.section !== shown[index - 1]?.section) ? ' b' : '');
  const widest = Math.max(...comparison.rows.map((row) => row.group.mean ?? 0));
  const lowest = Math.min(...comparison.rows.map((row) => row.group.mean ?? Number.POSITIVE_INFINITY));
  return (
    <table className="tbl cmp" data-testid="runs-table" style={{ width: shown.reduce((sum, { width }) => sum + width, 0) }}>
      <colgroup>{shown.map(({ id, width }) => <col key={id} style={{ width }} />)}</colgroup>
      <thead>
        <tr>
          {spans(shown.map(({ section }, i) => (i < pinned.length ? 'who' : section))).map(({ section, from, length }) => <th key={from} colSpan={length} className={`grp${starts(from)}${from === 0 ? ' pinned' : ''}`} style={from === 0 ? { left: 0 } : {}}>{words.groups[section]}</th>)}
        </tr>
        <tr>
          {shown.map(({ column, id, label, align }, i) => {
            const order = column.getIsSorted();
            const { className, style } = pin(i);
            return (
              <th key={id} scope="col" className={`${className}${starts(i)}${align === 'right' ? ' r' : ''}`} style={style} aria-sort={order === 'asc' ? 'ascending' : order === 'desc' ? 'descending' : 'none'}>
                <span className="head">
                  <button type="button" className="pin" aria-label={column.getIsPinned() ? words.unpin(label) : words.pin(label)} title={column.getIsPinned() ? words.unpin(label) : words.pin(label)} aria-pressed={column.getIsPinned() === 'start'} onClick={() => column.pin(column.getIsPinned() ? false : 'start')}>
                    <Icon of={column.getIsPinned() ? PinOff : Pin} size={11} />
                  </button>
                  <button type="button" className="sort" title={words.sort(label)} onClick={() => column.toggleSorting(order === 'asc')}>{label}{order && <Icon of={order === 'asc' ? ArrowUp : ArrowDown} size={11} />}</button>
                </span>
              </th>
            );
          })}
        </tr>
      </thead>
      <tbody>
        {table.getRowModel().rows.map(({ original: row }) => (
          <TableRow key={row.key} row={row} comparison={comparison}>
            {shown.map(({ id, align, section, text }, i) => {
              const { className, style } = pin(i);
              const differs = section === 'setup' && !onlyDifferences && new Set(comparison.rows.map((other) => text(other))).size > 1;
              return (
                <td key={id} className={`${className}${starts(i)}${align === 'right' ? ' r' : ''}${section === 'setup' ? (differs || onlyDifferences ? ' diff' : ' same') : ''}`} style={style}>
                  <Cell id={id} row={row} text={text(row)} comparison={comparison} low={lowest} high={widest} />
                </td>
              );
            })}
          </TableRow>
        ))}
      </tbody>
    </table>
  );
}

function TableRow({ row, comparison, children }: { row: Row; comparison: Comparison; children: React.ReactNode }) {
  const { ask } = useApp();
  const selected = row.group.runs.some((run) => run.id === comparison.selected);
  // The whole row selects for the pointer; the name's button does for keys and readers.
  return <tr className={selected ? 'on' : ''} onClick={() => ask.select(row.run.id)}>{children}</tr>;
}

function Cell({ id, row, text, comparison, low, high }: { id: string; row: Row; text: string; comparison: Comparison; low: number; high: number }) {
  switch (id) {
    case 'run': return <Name row={row} comparison={comparison} />;
    case 'loss': {
      const share = row.group.mean === null ? 0 : high > low ? 0.12 + (0.88 * (row.group.mean - low)) / (high - low) : 0.5;
      return row.group.mean === null ? <span className="hint">{strings.train.noValue}</span> : <><span className="minibar"><i style={{ width: `${100 * share}%`, background: comparison.colorOf(row) === 'accent' ? 'var(--accent)' : 'var(--text-3)' }} /></span>{text}</>;
    }
    case 'spread': return <span className="hint">{text}</span>;
    case 'delta': return <span className={row.difference?.beyondChance ? 'acc' : 'hint'} title={row.difference ? `${row.difference.baseline}, ${words.seeds(row.difference.seeds)}` : undefined}>{deltaText(row)}</span>;
    case 'sample': case 'remark': case 'tags': return <span className="ell dim" title={text}>{text}</span>;
    case 'method': case 'status': return <span className="dim">{text}</span>;
    default: return text;
  }
}

function Name({ row, comparison }: { row: Row; comparison: Comparison }) {
  const { ask, edit } = useApp();
  const hidden = useStudio((state) => state.layout.hiddenRuns);
  const ids = row.group.runs.map((run) => run.id);
  const color = comparison.colorOf(row);
  const on = comparison.drawn(row);
  const toggle = (event: React.MouseEvent) => {
    event.stopPropagation();
    edit.layout({ hiddenRuns: on ? [...hidden, ...ids] : hidden.filter((id) => !ids.includes(id)) });
  };
  return (
    <span className="name">
      <button type="button" className="rail-swatch" style={{ background: on ? `var(--${color})` : 'none', borderColor: `var(--${color})` }} aria-pressed={on} disabled={color === 'accent'} aria-label={words.draw(row.group.name)} title={words.draw(row.group.name)} onClick={toggle} />
      <button type="button" className="pick-name ell" title={row.group.name} onClick={() => ask.select(row.run.id)}>{row.group.name}</button>
      {row.group.runs.length > 1 && <span className="hint num">×{row.group.runs.length}</span>}
    </span>
  );
}

/** Neighbours of one section under one heading. */
function spans(sections: readonly Column['section'][]): { section: Column['section']; from: number; length: number }[] {
  const found: { section: Column['section']; from: number; length: number }[] = [];
  sections.forEach((section, i) => {
    const last = found.at(-1);
    if (last?.section === section) last.length++;
    else found.push({ section, from: i, length: 1 });
  });
  return found;
}
