// Tick positions for axes that uPlot's own rules serve badly: a logarithmic axis over less than a decade.

/** About `wanted` round values between low and high on a logarithmic axis. */
export function logTicks(low: number, high: number, wanted = 6): number[] {
  if (!(low > 0) || !(high > low)) return [];
  const grid = (mantissas: readonly number[]) => {
    const ticks: number[] = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
      for (const mantissa of mantissas) {
        const value = Number((mantissa * 10 ** power).toPrecision(6));
        if (value >= low && value <= high) ticks.push(value);
      }
    }
    return ticks;
  };
  const candidates = [[1], [1, 3], [1, 2, 5], [1, 1.5, 2, 3, 5, 7], [1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9]].map(grid);
  const fitting = candidates.filter((ticks) => ticks.length >= 3 && ticks.length <= wanted + 2);
  return fitting[0] ?? linearTicks(low, high, wanted);
}

export function linearTicks(low: number, high: number, wanted = 5): number[] {
  if (!(high > low)) return [];
  const raw = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = ([1, 2, 2.5, 5, 10].find((m) => m * power >= raw) ?? 10) * power;
  const ticks: number[] = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push(Number((i * step).toPrecision(10)));
  return ticks;
}
