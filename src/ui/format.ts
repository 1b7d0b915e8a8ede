// Numbers as people read them. One place, so that the same number looks the same everywhere.

const grouped = new Intl.NumberFormat('en-GB');

/** 17,309,568 */
export const count = (value: number) => grouped.format(value);

/** 17.3 M; parameters in lists. */
export function millions(value: number): string {
  if (value < 1e4) return count(value);
  return value < 1e6 ? `${(value / 1e3).toFixed(0)} k` : value < 1e9 ? `${(value / 1e6).toFixed(1)} M` : `${(value / 1e9).toFixed(1)} G`;
}

/** Number and unit apart, so that a read-out can set them in two sizes. */
export function bytesParts(value: number): [string, string] {
  if (value < 1e3) return [String(value), 'B'];
  const [size, unit] = value < 1e6 ? [1e3, 'kB'] : value < 1e9 ? [1e6, 'MB'] : [1e9, 'GB'];
  const scaled = value / (size as number);
  return [scaled >= 100 ? scaled.toFixed(0) : scaled >= 10 ? scaled.toFixed(1) : scaled.toFixed(2), unit as string];
}

/** 34.6 MB, decimal units as on packages and drives. */
export const bytes = (value: number) => bytesParts(value).join(' ');

/** Megabytes with one decimal, for a column of parts. */
export const megabytes = (value: number) => (value / 1e6).toFixed(value < 1e5 ? 2 : 1);

/** 1:09, 0:04, 1:02:33 */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h > 0 ? `${h}:${String(m).padStart(2, '0')}:${String(s).padStart(2, '0')}` : `${m}:${String(s).padStart(2, '0')}`;
}

/** A duration in words that fit a read-out's unit: 12 ms, 1.78 s. */
export const seconds = (value: number) => (value < 1 ? `${(value * 1e3).toFixed(value < 0.01 ? 2 : 0)} ms` : `${value.toFixed(2)} s`);

/** 2.127; losses and norms. */
export const loss = (value: number) => (Math.abs(value) >= 100 ? value.toFixed(1) : value.toFixed(3));

/** 3e-3, 1.5e-4, 0.01, 64: the shortest exact form of a setting. */
export function setting(value: number): string {
  if (value !== 0 && Math.abs(value) < 0.01) return Number(value.toPrecision(6)).toExponential().replace(/\.?0+e/, 'e');
  return String(Number(value.toPrecision(6)));
}

/** A value on an axis or under the cursor, three digits that matter. */
export function tick(value: number): string {
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e6) return Number(value.toPrecision(3)).toExponential().replace('e+', 'e');
  return String(Number(value.toPrecision(3)));
}

/** How the values of one axis are written: all with the same decimals, or all as powers of ten. */
export function tickFormat(splits: readonly (number | null)[]): (value: number) => string {
  const values = splits.filter((value) => value !== null);
  const gaps = values.slice(1).map((value, i) => Math.abs(value - (values[i] as number)));
  const gap = Math.min(...gaps.filter((width) => width > 0), Number.POSITIVE_INFINITY);
  if (!Number.isFinite(gap)) return tick;
  if (gap < 0.01 && Math.max(...values.map(Math.abs)) < 0.1) return setting;
  const decimals = [0, 1, 2, 3, 4].find((places) => Math.abs(gap * 10 ** places - Math.round(gap * 10 ** places)) < 1e-6) ?? 5;
  return (value) => (Math.abs(value) >= 1e6 ? tick(value) : value.toFixed(decimals));
}

/** 3.14 %, with digits enough to tell it from zero. */
export function percent(share: number): string {
  const value = share * 100;
  return `${value >= 10 ? value.toFixed(1) : value >= 0.01 || value === 0 ? value.toFixed(2) : Number(value.toPrecision(1))} %`;
}

/** 0.21 TFLOP, 34.1 GFLOP. */
export function flops(value: number): string {
  const [size, unit] = value >= 1e12 ? [1e12, 'TFLOP'] : value >= 1e9 ? [1e9, 'GFLOP'] : [1e6, 'MFLOP'];
  return `${Number((value / size).toPrecision(3))} ${unit}`;
}

/** 18.4k */
export const rate = (value: number) => (value >= 1e4 ? `${(value / 1e3).toFixed(1)}k` : value >= 100 ? value.toFixed(0) : value.toPrecision(3));

/** 1.2e-5 */
export const tiny = (value: number) => (value === 0 ? '0' : value.toExponential(1));
