// Rows × columns of values on a canvas: one ramp for the magnitude, a dotted outline for zero. Arrow keys read it cell by cell.
import { type KeyboardEvent, type PointerEvent, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react';
import type { HeatmapData } from '../../store/contract';
import { readPalette } from '../charts/palette';
import { useStudio } from '../context';
import { tick } from '../format';
import { strings } from '../strings';
import { largest, type Order, rowsOf, shortName } from './heatmap';

const words = strings.views;

export function Heatmap({ data, title, rows: rowsName, columns: columnsName, order = 'model', compact = false, selected = null, top, onSelect }: {
  data: HeatmapData; title: string; rows: string; columns: string; order?: Order; compact?: boolean;
  /** Row of the data that is framed. */
  selected?: number | null;
  /** Top of the ramp, where several pictures share one. */
  top?: number;
  onSelect?: (row: number) => void;
}) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [size, setSize] = useState({ width: 0, height: 0 });
  const [cell, setCell] = useState<{ row: number; column: number } | null>(null);
  const theme = useStudio((state) => state.layout.theme);
  const rows = useMemo(() => rowsOf(data, order), [data, order]);
  const scaleTop = top ?? largest(data);

  useEffect(() => {
    const element = canvas.current?.parentElement;
    if (!element) return;
    const observer = new ResizeObserver(() => setSize({ width: element.clientWidth, height: element.clientHeight }));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  // biome-ignore lint/correctness/useExhaustiveDependencies: the theme changes the palette that is read inside.
  useLayoutEffect(() => {
    const element = canvas.current;
    if (!element || size.width === 0) return;
    const unit = devicePixelRatio;
    element.width = Math.round(size.width * unit);
    element.height = Math.round(size.height * unit);
    const ctx = element.getContext('2d');
    if (ctx) paint(ctx, element.width, element.height, data, rows.map((row) => row.index), scaleTop, selected, unit);
  }, [size, data, rows, scaleTop, selected, theme]);

  const clamp = (row: number, column: number) => ({ row: Math.min(rows.length - 1, Math.max(0, row)), column: Math.min(data.columns - 1, Math.max(0, column)) });
  const onPointerMove = (event: PointerEvent<HTMLElement>) => {
    const box = event.currentTarget.getBoundingClientRect();
    setCell(clamp(Math.floor(((event.clientY - box.top) / box.height) * rows.length), Math.floor(((event.clientX - box.left) / box.width) * data.columns)));
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (move) {
      event.preventDefault();
      setCell((now) => clamp((now?.row ?? 0) + (now ? (move[0] as number) : 0), (now?.column ?? 0) + (now ? (move[1] as number) : 0)));
    }
    if (event.key === 'Enter' && cell) onSelect?.((rows[cell.row] as { index: number }).index);
  };
  const row = cell ? rows[cell.row] : undefined;
  const value = row && cell ? (data.values[row.index * data.columns + cell.column] as number) : undefined;
  const said = row && cell && value !== undefined ? words.cell(row.name, cell.column + 1, value === 0 ? words.zero : tick(value)) : '';
  return (
    <div className={compact ? 'heat compact' : 'heat'} style={{ '--rows': rows.length } as React.CSSProperties}>
      <div className="heat-rows" aria-hidden="true">{!compact && rows.map((entry) => <span key={entry.index} className={entry.index === selected ? 'on' : ''} title={entry.name}>{shortName(entry.name)}</span>)}</div>
      {/* Cells are painted, so there are no elements to reach: the arrow keys move over the picture, and the reading below names the cell. */}
      <div
        className="heat-plot" role="img" aria-label={`${title}: ${rowsName} × ${columnsName}. ${words.gridKeys}`} onKeyDown={onKeyDown}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: see above.
        tabIndex={0}
        onPointerMove={onPointerMove} onPointerLeave={() => setCell(null)} onBlur={() => setCell(null)}
        onClick={() => row && onSelect?.(row.index)}
      >
        <canvas ref={canvas} />
        {cell && row && (
          <i className="heat-cursor" style={{ left: `${(100 * cell.column) / data.columns}%`, top: `${(100 * cell.row) / rows.length}%`, width: `${100 / data.columns}%`, height: `${100 / rows.length}%` }} />
        )}
      </div>
      <div className="heat-counts" aria-hidden="true">{!compact && rows.map((entry) => <span key={entry.index} className={entry.kept === 0 ? 'hint' : ''}>{entry.kept}</span>)}</div>
      <p className="heat-reading num" aria-live="polite">{said}</p>
    </div>
  );
}

function paint(ctx: CanvasRenderingContext2D, width: number, height: number, data: HeatmapData, order: readonly number[], top: number, selected: number | null, unit: number): void {
  const palette = readPalette();
  const { columns, values } = data;
  ctx.clearRect(0, 0, width, height);
  const x = (column: number) => Math.round((column * width) / columns);
  const y = (row: number) => Math.round((row * height) / order.length);
  // Gaps vanish before cells do.
  const gap = height / order.length > 6 * unit ? Math.round(unit) : 0;
  const ramp = Array.from({ length: 65 }, (_, i) => `color-mix(in oklab, ${palette['heat-hi']} ${(8 + (92 * i) / 64).toFixed(1)}%, ${palette['heat-lo']})`);
  ctx.lineWidth = unit;
  ctx.strokeStyle = palette['line-2'] ?? '';
  ctx.setLineDash([unit, 2 * unit]);
  order.forEach((source, row) => {
    for (let column = 0; column < columns; column++) {
      const value = values[source * columns + column] as number;
      const box = [x(column), y(row), x(column + 1) - x(column) - gap, y(row + 1) - y(row) - gap] as const;
      if (value === 0) {
        if (gap) ctx.strokeRect(box[0] + unit / 2, box[1] + unit / 2, box[2] - unit, box[3] - unit);
        continue;
      }
      ctx.fillStyle = ramp[Math.round(64 * Math.min(1, top > 0 ? Math.abs(value) / top : 0))] as string;
      ctx.fillRect(...box);
    }
  });
  if (selected === null) return;
  const at = order.indexOf(selected);
  ctx.setLineDash([]);
  ctx.lineWidth = 2 * unit;
  ctx.strokeStyle = palette.text ?? '';
  ctx.strokeRect(unit, y(at) + unit, width - 2 * unit, Math.max(2 * unit, y(at + 1) - y(at) - gap - 2 * unit));
}
