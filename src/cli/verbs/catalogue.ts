// lowrank methods, models and plan: what there is, and what it would take. None allocates anything.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { methods as registry } from '../../methods/registry';
import { models as architectures } from '../../models/registry';
import { planRun } from '../../training/plan';
import { StudioError } from '../../util/errors';
import type { BuiltinModel } from '../../worker/protocol';
import { parse } from '../options';
import { bytesText, createOutput } from '../output';
import { configOf, describeFolder, weightsFor } from '../session';
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

/** public/models of the checkout that this file runs from, bundled in dist or not. */
function modelsFolder(): string {
  let at = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(at, 'public/models/index.json'))) {
    if (dirname(at) === at) throw new StudioError('public/models: the built-in models are not beside the command line', 'Run it from a checkout of the project, or name a model\'s folder by --model.');
    at = dirname(at);
  }
  return join(at, 'public/models');
}

export async function models(args: readonly string[]): Promise<number> {
  const { values: v } = parse('models', args, {});
  const output = createOutput(v.json ?? false);
  const folder = modelsFolder();
  for (const { id, title, kind, parameters, bytes, summary, licence } of JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8')) as BuiltinModel[]) {
    const path = relative(process.cwd(), join(folder, id));
    output.event({ event: 'model', id, title, kind, parameters, bytes, summary, licence, path }, `${id.padEnd(10)} ${title}, ${kind}, ${(parameters / 1e6).toFixed(1)} M parameters, ${bytesText(bytes)}: ${summary}\n    --model ${path}    ${licence}`);
  }
  const classes = architectures.flatMap(({ classes: byTask }) => Object.values(byTask));
  output.event({ event: 'architectures', classes }, `Other folders in the Hugging Face layout: ${classes.join(', ')}`);
  return 0;
}

/** The most a WebGPU device may allow in one buffer here; the real device's own limit is checked when a run starts. */
const DEFAULT_LARGEST_BUFFER = 2 ** 31;

export async function plan(args: readonly string[]): Promise<number> {
  const flags = runFlags('plan', args);
  const output = createOutput(flags.json);
  const data = flags.data === undefined ? [] : [await dataSource(flags.data, output)];
  const task = flags.task === undefined && data.length === 0 ? undefined : await chooseTask('plan', flags.task, await configOf(flags.model, output), data, flags.config.columns, flags.config);
  const allowance = { largestBuffer: DEFAULT_LARGEST_BUFFER };
  const weights = await weightsFor(flags.model, flags.bound, flags.config, allowance, output, task);
  const loaded = await describeFolder(flags.model, output, task, weights);
  const result = planRun(loaded, flags.bound, flags.config, allowance);
  const parts = result.bytes.map(({ part, bytes }) => `  ${part.padEnd(18)} ${bytesText(bytes)}`).join('\n');
  output.event(
    { event: 'plan', trainable: result.trainable, total: result.total, weights, by_module: result.byModule, bytes: Object.fromEntries(result.bytes.map((p) => [p.part, p.bytes])), peak_bytes: result.peakBytes, largest_buffer: result.largestBuffer, flops_per_step: result.flopsPerStep, dispatches_per_step: result.dispatchesPerStep, ...(result.problem ? { problem: result.problem } : {}) },
    `${result.trainable} trainable of ${result.total} parameters (${((100 * result.trainable) / result.total).toFixed(2)} %)\n${parts}\n  ${'together'.padEnd(18)} ${bytesText(result.peakBytes)}\n${(result.flopsPerStep / 1e9).toFixed(2)} GFLOP and ${result.dispatchesPerStep} dispatches a step${result.problem ? `\ndoes not fit: ${result.problem.message}; ${result.problem.hint}` : ''}`,
  );
  return 0;
}
