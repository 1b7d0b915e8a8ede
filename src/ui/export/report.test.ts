// The report: what was reported stands in it, what was not does not, and text from outside stays text.
import { describe, expect, it } from 'vitest';
import { defaultRun } from '../../store/contract';
import { newRun } from '../../store/slices/runs';
import { type ReportInput, reportOf } from './report';

const run = { ...newRun('r', { name: 'a <run>', config: defaultRun, labels: { method: 'LoRA', model: 'tale-1m', data: 'verses & <b>' } }), status: 'finished' as const, step: 3, samples: [{ prompt: '<script>alert(1)</script>', off: 'off text', on: 'on text', step: 3 }] };
const input: ReportInput = {
  run, series: [{ name: 'loss', values: [3, Number.NaN, 2] }, { name: 'lr', values: [1e-3, 1e-3, 1e-3] }], evals: { steps: [0, 3], losses: [3.5, 2.25] }, device: null, model: null, method: null,
  receipts: [], curve: null,
};

describe('run report', () => {
  it('is one file without scripts, links or anything to load', () => {
    const html = reportOf(input);
    expect(html).not.toMatch(/<script|<link|<img|src=|https?:/i);
    expect(html).toContain("default-src 'none'");
    expect(html).toContain('&lt;script&gt;alert(1)&lt;/script&gt;');
    expect(html).toContain('a &lt;run&gt;');
    expect(html).toContain('verses &amp; &lt;b&gt;');
  });

  it('leaves gaps where nothing was reported, and says only what was', () => {
    const html = reportOf(input);
    expect(html).toContain('Held-out loss from 3.500 to 2.250.');
    // Two pieces of the loss, not a line through the missing value.
    expect(html.match(/<g class="raw"><path d="([^"]*)"/)?.[1]?.match(/M/g)?.length).toBe(2);
    for (const absent of ['NaN', 'undefined', 'Receipt:', 'Loss of the cut adapter', 'Device', 'Parameters of the base']) expect(html).not.toContain(absent);
    expect(reportOf({ ...input, series: [], evals: { steps: [], losses: [] } })).toContain('Nothing was reported.');
  });

  it('carries receipts, the curve of the explorer, and the failure of a run', () => {
    const html = reportOf({
      ...input, run: { ...run, error: { name: 'NonFiniteError', message: 'step 4: the loss is not finite', hint: 'Lower the rate.' } },
      receipts: [{ format: 'gguf', receipt: { maxLogitDifference: 1e-6, effect: 2, tokens: 256, bytes: 1000, sha256: 'abc', modules: 2, droppedModules: [], ranks: {} } }],
      curve: { rank: [], energy: [], gates: [], components: [{ at: 0, components: 0, parameters: 0, loss: 3 }, { at: 2, components: 2, parameters: 8, loss: 2.5 }, { at: 4, components: 4, parameters: 16, loss: 2.25 }] },
    });
    for (const there of ['Receipt: GGUF adapter', '1.0e-6', 'Loss of the cut adapter', 'step 4: the loss is not finite Lower the rate.']) expect(html).toContain(there);
  });

  it('thins long series to what a screen can show', () => {
    const html = reportOf({ ...input, series: [{ name: 'loss', values: Array.from({ length: 50_000 }, (_, i) => 3 - i / 50_000) }] });
    expect(html.length).toBeLessThan(40_000);
  });
});
