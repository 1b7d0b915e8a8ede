// lowrank methods and lowrank plan: what there is, and what it would take. Neither allocates anything.
import { methods as registry } from '../../methods/registry';
import { planRun } from '../../training/plan';
import { parse } from '../options';
import { bytesText, createOutput } from '../output';
import { configOf, describeFolder } from '../session';
import { dataSource } from '../sources';
import { chooseTask } from '../task';
import { runFlags } from './run-config';

export async function methods(args: readonly string[]): Promise<number> {
  const { values: v } = parse('methods', args, {});
  const output = createOutput(v.json ?? false);
  for (const { info } of registry.values()) {
    const fields = Object.entries(info.fields).map(([name, field]) => `    ${name.padEnd(12)} ${field.label}, default ${field.default}${'min' in field ? `, ${field.min} to ${field.max}` : ''}`);
    output.event({ event: 'method', ...info }, `${info.slug.padEnd(10)} ${info.name}: ${info.summary}\n    ${info.paper.authors} ${info.paper.year}, ${info.paper.url}\n${fields.join('\n')}`);
  }
  return 0;
}

/** The most a WebGPU device may allow in one buffer here; the real device's own limit is checked when a run starts. */
const DEFAULT_LARGEST_BUFFER = 2 ** 31;

export async function plan(args: readonly string[]): Promise<number> {
  const flags = runFlags('plan', args);
  const output = createOutput(flags.json);
  const data = flags.data === undefined ? [] : [await dataSource(flags.data, output)];
  const task = flags.task === undefined && data.length === 0 ? undefined : await chooseTask('plan', flags.task, await configOf(flags.model, output), data, flags.config.columns);
  const loaded = await describeFolder(flags.model, output, task);
  const result = planRun(loaded, flags.bound, flags.config, { largestBuffer: DEFAULT_LARGEST_BUFFER });
  const parts = result.bytes.map(({ part, bytes }) => `  ${part.padEnd(18)} ${bytesText(bytes)}`).join('\n');
  output.event(
    { event: 'plan', trainable: result.trainable, total: result.total, by_module: result.byModule, bytes: Object.fromEntries(result.bytes.map((p) => [p.part, p.bytes])), peak_bytes: result.peakBytes, largest_buffer: result.largestBuffer, flops_per_step: result.flopsPerStep, dispatches_per_step: result.dispatchesPerStep, ...(result.problem ? { problem: result.problem } : {}) },
    `${result.trainable} trainable of ${result.total} parameters (${((100 * result.trainable) / result.total).toFixed(2)} %)\n${parts}\n  ${'together'.padEnd(18)} ${bytesText(result.peakBytes)}\n${(result.flopsPerStep / 1e9).toFixed(2)} GFLOP and ${result.dispatchesPerStep} dispatches a step${result.problem ? `\ndoes not fit: ${result.problem.message}; ${result.problem.hint}` : ''}`,
  );
  return 0;
}
