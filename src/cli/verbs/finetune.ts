// lowrank finetune: the page's run, in Node.
import { createWriteStream } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readPeft } from '../../formats/peft';
import { VALIDATION_BATCHES } from '../../training/config';
import type { RunEvent } from '../../training/events';
import type { Receipt } from '../../training/export';
import { extremes } from '../../training/insights';
import { planRun, wantFits } from '../../training/plan';
import { Run } from '../../training/run';
import { type Metrics, taskCard } from '../../training/tasks';
import { NonFiniteError } from '../../util/errors';
import { fileSource } from '../files';
import { need } from '../options';
import { bytesText, createOutput, metricsText } from '../output';
import { configOf, loadFolder, once, openDevice, weightsFor } from '../session';
import { adapterSources, baseName, dataSource } from '../sources';
import { chooseTask, datasetFor } from '../task';
import { runFlags } from './run-config';

const CHECKPOINT = 'checkpoint.safetensors';

export async function finetune(args: readonly string[]): Promise<number> {
  const flags = runFlags('finetune', args);
  const { bound } = flags;
  const output = createOutput(flags.json);
  const out = need('finetune', 'out', flags.out);
  const dataPath = need('finetune', 'data', flags.data);
  await mkdir(out, { recursive: true });

  const device = await openDevice(flags.backend, output);
  const [file, validation] = [await dataSource(dataPath, output), flags.validation ? await dataSource(flags.validation, output) : null];
  const task = await chooseTask('finetune', flags.task, await configOf(flags.model, output), validation ? [file, validation] : [file], flags.config.columns, flags.config);
  const wanted = { ...flags.config, task: flags.task ?? task.kind };
  const weights = await weightsFor(flags.model, bound, wanted, device, output, task);
  const config = { ...wanted, ...(wanted.weights ? { weights } : {}) };
  const loaded = await loadFolder(device, flags.model, output, task, weights);
  const plan = planRun(loaded, bound, config, device);
  wantFits(plan);
  const { batch, seq, seed } = config.training;
  const { holdout, test = 0, pack = false, columns = {} } = config;
  const options = { batch, seq, seed, holdout, test, pack, validationBatches: VALIDATION_BATCHES };
  const data = await once(`data ${JSON.stringify([flags.model, task, dataPath, flags.validation, options, columns])}`, () => datasetFor(loaded, file, validation, options, columns, { progress: (done, total) => output.progress(`reading ${Math.round((100 * done) / total)} %`) }, config.task));
  for (const warning of data.summary.warnings) output.note(`data: ${warning}`);

  const rate = taskCard(task.kind).unit === 'picture' ? 'pictures' : 'tokens';
  const metrics = createWriteStream(join(out, 'metrics.jsonl'), { flags: flags.resume ? 'a' : 'w' });
  const record = (event: Record<string, unknown>, text?: string) => {
    metrics.write(`${JSON.stringify(event)}\n`);
    output.event(event, text);
  };
  const last = { loss: null as number | null, validation: null as number | null, metrics: {} as Metrics, seconds: 0 };
  const save = async (bytes: Uint8Array) => {
    // Written beside and moved over: a crash while writing leaves the checkpoint before.
    await writeFile(join(out, `${CHECKPOINT}.part`), bytes);
    await rename(join(out, `${CHECKPOINT}.part`), join(out, CHECKPOINT));
  };
  const listener = (event: RunEvent) => {
    if (event.kind === 'metrics') {
      const width = event.series.length;
      for (let i = 0; i * width < event.values.length; i++) {
        const row = Object.fromEntries(event.series.map((name, j) => [name, event.values[i * width + j] as number]));
        last.loss = row.loss ?? null;
        record({ event: 'step', step: event.from + i, ...row, [`${rate}_per_s`]: Math.round(event.tokensPerSecond) });
      }
      const step = event.from + event.values.length / width - 1;
      const left = ((event.seconds / step) * (run.totalSteps - step)).toFixed(0);
      output.progress(`step ${step}/${run.totalSteps}  loss ${last.loss?.toFixed(4)}  ${Math.round(event.tokensPerSecond)} ${rate}/s  ${left} s left`);
    } else if (event.kind === 'eval') {
      last.validation = event.loss;
      last.metrics = event.metrics;
      record({ event: 'eval', step: event.step, loss: event.loss, ...event.metrics }, `step ${event.step}: validation loss ${event.loss.toFixed(4)}${metricsText(event.metrics)}`);
    } else if (event.kind === 'insights') record({ event: 'insights', step: event.step, ...extremes(event.rows, event.shown) });
    else if (event.kind === 'phase') record({ event: 'phase', name: event.name, from: event.from, steps: event.steps }, run.phases.length > 1 ? event.name : undefined);
    else if (event.kind === 'note') record({ event: 'note', step: event.step, text: event.text }, `step ${event.step}: ${event.text}`);
    else if (event.kind === 'ended') last.seconds = event.seconds;
  };
  const from = flags.from ? { from: await readPeft(await adapterSources(flags.from, output)) } : {};
  const resume = flags.resume ? { resume: await fileSource(join(flags.resume, CHECKPOINT)) } : {};
  const abort = new AbortController();
  const stopPreparing = () => abort.abort();
  process.once('SIGINT', stopPreparing);
  const preparing = (done: number, total: number) => output.progress(`preparing ${done} of ${total}`);
  const run = await Run.create({ device, loaded, data, bound, config, listener, save, samples: false, signal: abort.signal, preparing, ...from, ...resume });
  process.removeListener('SIGINT', stopPreparing);
  if (run.step > 0) output.note(`resuming at step ${run.step} of ${run.totalSteps}`);

  let interrupted = false;
  const interrupt = () => {
    interrupted = true;
    run.stop();
  };
  process.once('SIGINT', interrupt);
  try {
    const reason = await run.train();
    if (reason === 'failed') {
      metrics.end();
      if (run.error instanceof NonFiniteError) {
        output.note(`${run.error.message}; ${run.error.hint}\nlast good checkpoint: ${join(out, CHECKPOINT)}`);
        return 5;
      }
      throw run.error;
    }
    const about = { config, task, data: { name: dataPath, hash: data.summary.hash, tokensHash: data.summary.tokensHash, ...(data.validationHash ? { validationHash: data.validationHash } : {}) }, device: device.profile.id, steps: run.step, ...(run.prepareSeconds === null ? {} : { initialisationSeconds: run.prepareSeconds }) };
    const writeRun = (receipt?: Receipt) => writeFile(join(out, 'run.json'), `${JSON.stringify({ ...about, ...(receipt ? { receipt } : {}) }, null, 2)}\n`);
    // Before the export: an adapter with nothing left in it cannot be written, and its run is still worth a record.
    await writeRun();
    const { folder, receipt } = await run.exportPeft(baseName(flags.model));
    for (const { name, bytes } of folder.files) await writeFile(join(out, name), bytes);
    await writeRun(receipt);
    const files = [...folder.files.map((f) => f.name), 'run.json', 'metrics.jsonl', CHECKPOINT].map((name) => join(out, name));
    record(
      { event: 'done', steps: run.step, loss: last.loss, val_loss: last.validation, ...last.metrics, trainable: plan.trainable, peak_bytes: device.peakBytes, seconds: last.seconds, receipt: { max_logit_difference: receipt.maxLogitDifference, effect: receipt.effect }, files },
      `${interrupted ? 'stopped' : 'done'} after ${run.step} steps in ${last.seconds.toFixed(1)} s${last.loss === null ? '' : `: loss ${last.loss.toFixed(4)}`}${last.validation === null ? '' : `, validation ${last.validation.toFixed(4)}${metricsText(last.metrics)}`}\n${plan.trainable} trainable parameters, peak ${bytesText(device.peakBytes)} on the device\nreloaded file: largest logit difference ${receipt.maxLogitDifference.toExponential(1)}, the adapter's own effect ${receipt.effect.toFixed(2)}\n${files.join('\n')}`,
    );
    await new Promise((resolve) => metrics.end(resolve));
    return interrupted ? 130 : 0;
  } finally {
    process.removeListener('SIGINT', interrupt);
    run.dispose();
  }
}
