// Which colour a run has: the chosen one is always the accent, the others keep theirs by order.
const OTHERS = ['s-2', 's-3', 's-4', 's-5', 's-6', 's-7', 's-8'];

export function runColor(order: readonly string[], chosen: string | null, run: string): string {
  if (run === chosen) return 'accent';
  const others = order.filter((id) => id !== chosen);
  return OTHERS[others.indexOf(run) % OTHERS.length] as string;
}
