// Fits and draws what `lowrank bench growth --json` printed.
//
//   node scripts/plot-growth.mjs LINES.jsonl [--svg docs/images/growth.svg] [--title TEXT] [--least]
//
// For each axis it fits ms = a + b·x, for row length also + c·x², and the power law ms = c·x^p, all to the smallest relative
// residuals; prints a table for docs/benchmarks.md and writes one picture with a panel an axis. A point is the median of its runs;
// with --least the fastest of them, which is steadier on a machine that others use too.
import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { main, Problem, root, say } from './process.mjs';

const AXES = {
  tokens: 'tokens a step, in rows of 64',
  seq: 'tokens in the one row of a step',
  rank: 'rank',
  layers: 'blocks',
};

/** Axis → points in the order of x; axes of fewer than three points are left out. */
function read(path, field) {
  const series = new Map();
  readFileSync(path, 'utf8').split('\n').forEach((line, i) => {
    if (line.trim() === '') return;
    let event;
    try {
      event = JSON.parse(line);
    } catch (error) {
      throw new Problem(`${path}: line ${i + 1}: ${error.message}`);
    }
    if (event.event !== 'growth') return;
    const ms = event[field];
    if (!(event.x > 0) || !(ms > 0)) throw new Problem(`${path}: line ${i + 1}: wanted x and ${field} above 0, got ${event.x} and ${ms}`);
    series.set(event.axis, [...(series.get(event.axis) ?? []), { ...event, ms }]);
  });
  for (const [axis, points] of series) {
    if (points.length < 3) series.delete(axis);
    else points.sort((a, b) => a.x - b.x);
  }
  return series;
}

/** The polynomial of the axis, and the power law. */
function fitsOf(axis, points) {
  return [polynomial(points, axis === 'seq' ? 2 : 1), powerLaw(points)];
}

/** Least squares of the relative residuals: times span decades, and each counts alike. */
function polynomial(points, degree) {
  const powers = Array.from({ length: degree + 1 }, (_, i) => i);
  const matrix = powers.map((i) => powers.map((j) => sum(points, ({ x, ms }) => x ** (i + j) / ms ** 2)));
  const right = powers.map((i) => sum(points, ({ x, ms }) => x ** i / ms));
  const c = solve(matrix, right);
  const text = c.map((value, i) => (i === 0 ? round(value) : `${value < 0 ? '−' : '+'} ${round(Math.abs(value))} ${i === 1 ? 'x' : 'x²'}`)).join(' ');
  return judged(points, text, (x) => c.reduce((y, value, i) => y + value * x ** i, 0));
}

function powerLaw(points) {
  const n = points.length;
  const [u, v] = [points.map(({ x }) => Math.log(x)), points.map(({ ms }) => Math.log(ms))];
  const [mu, mv] = [sum(u, (x) => x) / n, sum(v, (x) => x) / n];
  const p = sum(u, (x, i) => (x - mu) * (v[i] - mv)) / sum(u, (x) => (x - mu) ** 2);
  const c = Math.exp(mv - p * mu);
  return judged(points, `${round(c)} x^${p.toFixed(2)}`, (x) => c * x ** p);
}

function judged(points, text, at) {
  const off = points.map(({ x, ms }) => (at(x) - ms) / ms);
  return { text, at, rms: Math.sqrt(sum(off, (r) => r * r) / off.length), worst: Math.max(...off.map(Math.abs)) };
}

/** Gaussian elimination with pivoting, for two or three unknowns. */
function solve(matrix, right) {
  const rows = matrix.map((row, i) => [...row, right[i]]);
  for (let i = 0; i < rows.length; i++) {
    const pivot = rows.slice(i).reduce((best, row, j) => (Math.abs(row[i]) > Math.abs(rows[best][i]) ? i + j : best), i);
    [rows[i], rows[pivot]] = [rows[pivot], rows[i]];
    for (let j = 0; j < rows.length; j++) {
      if (j === i) continue;
      const factor = rows[j][i] / rows[i][i];
      rows[j] = rows[j].map((value, k) => value - factor * rows[i][k]);
    }
  }
  return rows.map((row, i) => row.at(-1) / row[i]);
}

const sum = (xs, of) => xs.reduce((total, x, i) => total + of(x, i), 0);
/** Three significant digits, without an exponent. */
const round = (x) => String(Number(x.toPrecision(3))).replace('-', '−');
const residuals = ({ rms, worst }) => `${(100 * rms).toFixed(1)} %, ${(100 * worst).toFixed(1)} %`;

// One panel an axis, two in a row, both scales logarithmic; whiskers from the fastest to the slowest step.
const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM, HEAD] = [440, 270, 58, 16, 42, 44, 34];

function picture(drawn, title) {
  const size = [2 * WIDTH, HEAD + HEIGHT * Math.ceil(drawn.length / 2)];
  const panels = drawn.map((series, i) => `<g transform="translate(${(i % 2) * WIDTH} ${HEAD + Math.floor(i / 2) * HEIGHT})">${panel(series)}</g>`);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.join(' ')}" width="${size[0]}" height="${size[1]}" role="img" aria-label="${xml(title)}">
<style>text{font:12px system-ui,sans-serif;fill:#333}.title{font-weight:600;font-size:14px}.axis{stroke:#999;fill:none}.grid{stroke:#ddd}.fit{stroke:#3564c9;fill:none;stroke-width:1.5}.point{fill:#c2410c}.whisker{stroke:#c2410c}
@media (prefers-color-scheme:dark){text{fill:#ddd}.axis{stroke:#777}.grid{stroke:#3a3a3a}.fit{stroke:#7da2f2}.point{fill:#f59e6b}.whisker{stroke:#f59e6b}}</style>
<text class="title" x="${LEFT}" y="22">${xml(title)}</text>
${panels.join('\n')}
</svg>
`;
}

function panel({ axis, points, fits }) {
  const better = fits.reduce((best, fit) => (fit.rms < best.rms ? fit : best));
  const xs = [points[0].x, points.at(-1).x];
  const ys = [Math.min(...points.map((p) => p.ms_min ?? p.ms)), Math.max(...points.map((p) => p.ms_max ?? p.ms))];
  const px = scale(xs, LEFT, WIDTH - RIGHT);
  const py = scale([ys[0] / 1.15, ys[1] * 1.15], HEIGHT - BOTTOM, TOP);
  const out = [];
  for (const tick of ticks(ys)) out.push(`<path class="grid" d="M${LEFT} ${py(tick)}H${WIDTH - RIGHT}"/><text x="${LEFT - 6}" y="${py(tick) + 4}" text-anchor="end">${tick}</text>`);
  for (const { x } of points) out.push(`<path class="axis" d="M${px(x)} ${HEIGHT - BOTTOM}v4"/><text x="${px(x)}" y="${HEIGHT - BOTTOM + 17}" text-anchor="middle">${x}</text>`);
  out.push(`<path class="axis" d="M${LEFT} ${TOP}V${HEIGHT - BOTTOM}H${WIDTH - RIGHT}"/>`);
  const curve = Array.from({ length: 61 }, (_, i) => xs[0] * (xs[1] / xs[0]) ** (i / 60)).filter((x) => better.at(x) > 0);
  out.push(`<path class="fit" d="M${curve.map((x) => `${px(x)} ${py(better.at(x))}`).join('L')}"/>`);
  for (const { x, ms, ms_min: least, ms_max: most } of points) {
    if (least && most) out.push(`<path class="whisker" d="M${px(x)} ${py(least)}V${py(most)}"/>`);
    out.push(`<circle class="point" cx="${px(x)}" cy="${py(ms)}" r="3.5"/>`);
  }
  out.push(`<text x="${LEFT}" y="${TOP - 20}">ms</text><text x="${LEFT + 26}" y="${TOP - 20}">fit ${xml(better.text)}, rms ${(100 * better.rms).toFixed(1)} %</text><text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 8}" text-anchor="middle">${xml(AXES[axis])}</text>`);
  return out.join('');
}

/** Logarithmic: [from, to] onto [start, end] pixels. */
function scale([from, to], start, end) {
  return (value) => Math.round(10 * (start + ((end - start) * Math.log(value / from)) / Math.log(to / from))) / 10;
}

/** 1, 2 and 5 of each decade in the range; where that is too many, 1 only. */
function ticks([from, to]) {
  const all = [];
  for (let decade = Math.floor(Math.log10(from)); decade <= Math.log10(to); decade++) for (const digit of [1, 2, 5]) all.push(Number(`${digit}e${decade}`));
  const inside = all.filter((tick) => tick >= from && tick <= to);
  return inside.length > 8 ? inside.filter((tick) => /^0*\.?0*1/.test(String(tick))) : inside;
}

const xml = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');

await main(async () => {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { svg: { type: 'string' }, title: { type: 'string' }, least: { type: 'boolean' } } });
  if (positionals.length !== 1) throw new Problem('Give one file of lines that `lowrank bench growth --json` printed.');
  const series = read(positionals[0], values.least ? 'ms_min' : 'ms');
  const drawn = Object.keys(AXES).filter((axis) => series.has(axis)).map((axis) => ({ axis, points: series.get(axis), fits: fitsOf(axis, series.get(axis)) }));
  if (drawn.length === 0) throw new Problem(`${positionals[0]}: no axis with three points or more; the axes are ${Object.keys(AXES).join(', ')}.`);
  say('| grows with | from | to | affine | rms, worst residual | power law | rms, worst residual |');
  say('|---|---|---|---|---|---|---|');
  for (const { axis, points, fits } of drawn) {
    const [first, last] = [points[0], points.at(-1)];
    say(`| ${AXES[axis]} | ${first.x}: ${round(first.ms)} ms | ${last.x}: ${round(last.ms)} ms | ${fits.flatMap((fit) => [fit.text, residuals(fit)]).join(' | ')} |`);
  }
  if (values.svg) writeFileSync(resolve(root, values.svg), picture(drawn, values.title ?? 'Milliseconds a training step'));
});
