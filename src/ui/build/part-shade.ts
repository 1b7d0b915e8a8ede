// Shades of a stacked bar: neutral for what the base costs, accent for what the adapter does; lighter with each part.
import type { Plan } from '../../store/contract';

export function partShade(parts: Plan['bytes'], index: number): string {
  const { kind } = parts[index] as Plan['bytes'][number];
  const place = parts.slice(0, index).filter((part) => part.kind === kind).length;
  const of = parts.filter((part) => part.kind === kind).length;
  const share = Math.round(100 - (place * 75) / Math.max(1, of));
  return `color-mix(in oklab, var(${kind === 'adapter' ? '--accent' : '--base'}) ${share}%, var(--pane))`;
}
