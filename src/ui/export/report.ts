// The run report: one HTML file that needs nothing else. Charts are SVG in it; every number is one that the run reported.
import type { DeviceCard, ExportResult, Failure, MethodCard, ModelCard } from '../../store/contract';
import type { CurvePoint, CutMode } from '../../store/explore';
import type { RunRecord } from '../../store/slices/runs';
import { linearTicks } from '../charts/ticks';
import { bytes, clock, count, loss, percent, setting, tick, tickFormat, tiny } from '../format';
import { strings } from '../strings';

export interface ReportInput {
  run: RunRecord;
  series: readonly { name: string; values: readonly number[] }[];
  evals: { steps: readonly number[]; losses: readonly number[] };
  device: DeviceCard | null;
  model: ModelCard | null;
  method: MethodCard | null;
  receipts: readonly { format: string; receipt: ExportResult['receipt'] }[];
  /** Measured places of the explorer's curves, where it has this run open. */
  curve: Readonly<Record<CutMode, readonly CurvePoint[]>> | null;
}

const words = strings.report;
/** Points of a line: more than there are pixels would only make the file larger. */
const MOST_POINTS = 600;

export function reportOf({ run, series, evals, device, model, method, receipts, curve }: ReportInput): string {
  const { config, labels } = run;
  const { training } = config;
  const named = (name: string) => series.find((one) => one.name === name)?.values ?? [];
  const label = (name: string) => ({ loss: words.loss, lr: words.lr, grad_norm: words.norm })[name] ?? method?.series.find((one) => one.id === name)?.label ?? name;
  const others = series.filter(({ name, values }) => !['loss', 'tokens'].includes(name) && values.some(Number.isFinite));
  const last = evals.losses.at(-1);
  const facts: [string, string][] = [
    [words.base, labels.model], ...(model && model.name === labels.model ? [[words.parameters, count(model.parameters)] as [string, string]] : []), [words.data, labels.data], [words.method, labels.method],
    ...Object.entries(config.method.fields).map(([name, value]): [string, string] => [method?.fields[name]?.label ?? name, typeof value === 'number' ? setting(value) : String(value)]),
    [words.targets, config.targets || words.allLinear], [words.steps, `${count(run.step)} ${strings.common.of} ${count(training.steps)}`], [words.batch, `${training.batch} × ${training.seq}`],
    [words.rate, `${setting(training.lr)}, ${training.schedule}, ${words.warmup} ${training.warmup}`], [words.decay, setting(training.weightDecay)], [words.clip, setting(training.clip)], [words.seed, String(training.seed)],
    ...(run.seconds === null ? [] : [[words.time, clock(run.seconds)] as [string, string]]), ...(device ? [[words.device, [device.vendor, device.architecture, device.description].filter(Boolean).join(' ')] as [string, string]] : []),
    [words.status, strings.train.status[run.status]],
  ];
  // The two ends alone are no curve.
  const components = curve && curve.components.length > 2 ? curve.components : [];
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${plain(run.name)} · ${strings.common.name}</title><style>${STYLE}</style></head><body><main>
<h1>${plain(run.name)}</h1>
<p class="lead">${plain(words.lead(labels.method, labels.model, labels.data, run.step))}${last === undefined ? '' : ` ${plain(words.validation(loss(evals.losses[0] as number), loss(last)))}`}</p>
${run.error ? `<p class="bad">${plain(failureText(run.error))}</p>` : ''}
<section><h2>${words.lossTitle}</h2>${chart([{ name: words.training, y: [...named('loss')], kind: 'raw' }, { name: words.heldOut, x: [...evals.steps], y: [...evals.losses], kind: 'rings' }], words.step)}</section>
<div class="pair">${others.map(({ name, values }) => `<section><h2>${plain(label(name))}</h2>${chart([{ name: label(name), y: [...values], kind: 'line' }], words.step, [420, 150])}</section>`).join('')}</div>
<section><h2>${words.settings}</h2><table>${facts.map(([name, value]) => `<tr><th scope="row">${plain(name)}</th><td>${plain(value)}</td></tr>`).join('')}</table></section>
${run.phases.length > 1 ? `<section><h2>${words.phases}</h2><table>${run.phases.map((phase) => `<tr><th scope="row">${plain(phase.name)}</th><td>${plain(words.phase(phase.from, phase.steps))}</td></tr>`).join('')}</table></section>` : ''}
${components.length > 0 ? `<section><h2>${words.cuts}</h2>${chart([{ name: words.cutLoss, x: components.map((point) => point.components), y: components.map((point) => point.loss), kind: 'rings' }], words.components)}<p>${words.cutsText}</p></section>` : ''}
${samples(run)}
${receipts.map(({ format, receipt }) => receiptTable(format, receipt)).join('')}
${run.notes.length > 0 ? `<section><h2>${words.notes}</h2><table>${run.notes.map((note) => `<tr><th scope="row">${count(note.step)}</th><td>${plain(note.text)}</td></tr>`).join('')}</table></section>` : ''}
<section><h2>${words.config}</h2><pre>${plain(JSON.stringify(config, null, 2))}</pre></section>
</main></body></html>
`;
}

const failureText = ({ message, hint }: Failure) => [message, hint].filter(Boolean).join(' ');

function samples({ samples: all }: RunRecord): string {
  const [first, last] = [all[0], all.at(-1)];
  if (!first || !last) return '';
  const text = (title: string, body: string) => `<h3>${plain(title)}</h3><p class="text">${plain(body.trim())}</p>`;
  return `<section><h2>${words.texts}</h2><p class="prompt">${plain(last.prompt)}</p>${text(words.without, last.off)}${text(words.with(last.step), last.on)}</section>`;
}

function receiptTable(format: string, receipt: ExportResult['receipt']): string {
  const name = strings.exportPanel.formats[format as 'peft']?.[0] ?? format;
  const rows: [string, string][] = [
    [words.difference, tiny(receipt.maxLogitDifference)], [words.effect, tick(receipt.effect)], ...(receipt.effect > 0 ? [[words.share, percent(receipt.maxLogitDifference / receipt.effect)] as [string, string]] : []),
    [words.compared, count(receipt.tokens)], [words.modules, count(receipt.modules)], [words.size, bytes(receipt.bytes)], ['SHA-256', receipt.sha256],
  ];
  return `<section><h2>${plain(words.receipt(name))}</h2><table>${rows.map(([key, value]) => `<tr><th scope="row">${plain(key)}</th><td>${plain(value)}</td></tr>`).join('')}</table></section>`;
}

interface Line { name: string; x?: number[]; y: number[]; kind: 'raw' | 'line' | 'rings' }

/** A chart of width × height units; gaps in a line are gaps. */
function chart(lines: readonly Line[], xName: string, [width, height] = [860, 260]): string {
  const [left, right, top, bottom] = [58, 12, 10, 26];
  const points = lines.map(({ x, y }) => thin(y.map((value, i) => [x?.[i] ?? i + 1, value] as const)));
  const finite = points.flat().filter(([, y]) => Number.isFinite(y));
  if (finite.length === 0) return `<p>${words.nothing}</p>`;
  const [xs, ys] = [finite.map(([x]) => x), finite.map(([, y]) => y)];
  const [x0, x1, low, high] = [Math.min(...xs, 0), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const air = (high - low || Math.abs(high) || 1) * 0.06;
  const px = (x: number) => left + ((width - left - right) * (x - x0)) / Math.max(x1 - x0, 1e-9);
  const py = (y: number) => top + ((height - top - bottom) * (high + air - y)) / (high - low + 2 * air);
  const [yTicks, xTicks] = [linearTicks(low - air, high + air, height > 200 ? 5 : 3), linearTicks(x0, x1, width > 500 ? 7 : 4)];
  const [fy, fx] = [tickFormat(yTicks), tickFormat(xTicks)];
  const path = (list: readonly (readonly [number, number])[]) => {
    let pen = 'M';
    return list.map(([x, y]) => {
      if (!Number.isFinite(y)) {
        pen = 'M';
        return '';
      }
      const step = `${pen}${px(x).toFixed(1)} ${py(y).toFixed(1)}`;
      pen = 'L';
      return step;
    }).join('');
  };
  const drawn = lines.map(({ kind }, i) => {
    const list = points[i] ?? [];
    const rings = kind === 'rings' ? list.filter(([, y]) => Number.isFinite(y)).map(([x, y]) => `<circle cx="${px(x).toFixed(1)}" cy="${py(y).toFixed(1)}" r="3"/>`).join('') : '';
    return `<g class="${kind}"><path d="${path(list)}"/>${rings}</g>`;
  });
  const said = lines.map(({ name, y }) => `${name}: ${y.length} values, last ${tick(y.at(-1) ?? Number.NaN)}`).join('. ');
  return `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${plain(said)}">${yTicks.map((t) => `<path class="grid" d="M${left} ${py(t).toFixed(1)}H${width - right}"/><text x="${left - 8}" y="${(py(t) + 4).toFixed(1)}" text-anchor="end">${fy(t)}</text>`).join('')}${xTicks.map((t) => `<text x="${px(t).toFixed(1)}" y="${height - 6}" text-anchor="middle">${fx(t)}</text>`).join('')}${drawn.join('')}</svg><p class="key">${lines.map(({ name, kind }) => `<span class="${kind}">${plain(name)}</span>`).join(' ')} <span>${plain(xName)} →</span></p>`;
}

/** At most MOST_POINTS, each the mean of its neighbours' finite values. */
function thin(points: readonly (readonly [number, number])[]): readonly (readonly [number, number])[] {
  if (points.length <= MOST_POINTS) return points;
  const size = Math.ceil(points.length / MOST_POINTS);
  return Array.from({ length: Math.ceil(points.length / size) }, (_, i) => {
    const part = points.slice(i * size, (i + 1) * size);
    const finite = part.filter(([, y]) => Number.isFinite(y));
    return [part[part.length - 1]?.[0] ?? 0, finite.length === 0 ? Number.NaN : finite.reduce((sum, [, y]) => sum + y, 0) / finite.length] as const;
  });
}

/** Text as it is, whatever stands in it. */
const plain = (text: string) => text.replace(/[&<>"']/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' })[c] as string);

const STYLE = `:root{color-scheme:light dark;--bg:#fbfcfc;--text:#131716;--dim:#465050;--line:#dde3e2;--accent:#00756a;--base:#6b7676;--bad:#b8261c}@media(prefers-color-scheme:dark){:root{--bg:#141718;--text:#e9edec;--dim:#aab3b3;--line:#262b2c;--accent:#46cdb9;--base:#949d9d;--bad:#ff7a70}}
body{margin:0;background:var(--bg);color:var(--text);font:14px/1.55 system-ui,sans-serif}main{max-width:900px;margin:0 auto;padding:32px 20px 64px}h1{font-size:24px;margin:0}h2{font-size:15px;margin:32px 0 8px}h3{font-size:13px;color:var(--dim);margin:14px 0 2px}.lead{color:var(--dim);margin:4px 0 0}
table{width:100%;border-collapse:collapse;font-variant-numeric:tabular-nums}th{text-align:left;font-weight:400;color:var(--dim);width:38%}th,td{padding:5px 8px 5px 0;border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}
svg{width:100%;height:auto;display:block}svg text{font:11px ui-monospace,monospace;fill:var(--dim)}path.grid{stroke:var(--line)}g path{fill:none;stroke:var(--accent);stroke-width:1.6}g.raw path{stroke-width:1;opacity:.55}g.rings path{stroke-dasharray:4 3;stroke-width:1}g circle{fill:var(--bg);stroke:var(--accent);stroke-width:1.5}
.key{color:var(--dim);font-size:12px;margin:2px 0 0;display:flex;gap:16px}.key .rings::before{content:"○ "}.key .raw::before,.key .line::before{content:"— "}div.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(300px,1fr));gap:0 24px}.text{margin:0;white-space:pre-wrap}.prompt{font-weight:600}.bad{color:var(--bad)}pre{overflow:auto;font:12px/1.5 ui-monospace,monospace;border:1px solid var(--line);padding:12px}`;
