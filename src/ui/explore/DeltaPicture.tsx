// ΔW as a picture of sampled entries: accent is positive, the base tone negative. Both pictures of a module share one scale.
import { useLayoutEffect, useRef } from 'react';
import type { ModuleDetail } from '../../store/contract';
import { readPalette } from '../charts/palette';
import { useStudio } from '../context';

export function DeltaPicture({ detail, sigma, keep, label }: { detail: ModuleDetail | null; sigma: Float64Array; keep: number; label: string }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const theme = useStudio((state) => state.layout.theme);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the theme changes the palette that is read inside.
  useLayoutEffect(() => {
    const ctx = canvas.current?.getContext('2d');
    if (ctx && detail) paint(ctx, detail, sigma, keep);
  }, [detail, sigma, keep, theme]);
  return (
    <figure className="picture">
      <canvas ref={canvas} width={detail?.columns ?? 64} height={detail?.rows ?? 64} role="img" aria-label={label} />
      <figcaption>{label}</figcaption>
    </figure>
  );
}

/** Entries of the first `keep` components, [rows, columns]. */
function entries({ left, right, rows, columns }: ModuleDetail, sigma: Float64Array, keep: number): Float64Array {
  const r = sigma.length;
  const values = new Float64Array(rows * columns);
  for (let k = 0; k < keep; k++) {
    for (let i = 0; i < rows; i++) {
      const weight = (left[i * r + k] as number) * (sigma[k] as number);
      for (let j = 0; j < columns; j++) values[i * columns + j] = (values[i * columns + j] as number) + weight * (right[k * columns + j] as number);
    }
  }
  return values;
}

function paint(ctx: CanvasRenderingContext2D, detail: ModuleDetail, sigma: Float64Array, keep: number): void {
  const { rows, columns } = detail;
  const whole = entries(detail, sigma, sigma.length);
  // The rare largest entries would leave the rest dark: the ramp ends at three times the root mean square.
  const top = 3 * Math.sqrt(whole.reduce((sum, x) => sum + x * x, 0) / whole.length) || 1;
  const values = keep === sigma.length ? whole : entries(detail, sigma, keep);
  const palette = readPalette();
  const [floor, up, down] = [rgb(palette['heat-lo']), rgb(palette.accent), rgb(palette.base)];
  const image = ctx.createImageData(columns, rows);
  values.forEach((value, i) => {
    const t = Math.min(1, Math.abs(value) / top);
    const to = value > 0 ? up : down;
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = (floor[c] as number) + t * ((to[c] as number) - (floor[c] as number));
    image.data[4 * i + 3] = 255;
  });
  ctx.putImageData(image, 0, 0);
}

/** #rrggbb as three numbers. */
function rgb(hex = '#000000'): number[] {
  return [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));
}
