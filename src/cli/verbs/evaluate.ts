// lowrank eval: mean loss over a file or over given tokens; logits to a file.
import { writeFile } from 'node:fs/promises';
import { writeSafetensors } from '../../formats/safetensors';
import { labelsOf, labelsRows } from '../../models/model';
import { type Evaluation, Evaluator } from '../../training/evaluate';
import { detach } from '../../training/attach';
import { VALIDATION_BATCHES, defaultTraining } from '../../training/config';
import { shapeOf } from '../../training/task';
import { taskCard } from '../../training/tasks';
import { UsageError, need, parse, weightsOf } from '../options';
import { createOutput, metricsText } from '../output';
import { attachFolders, configOf, loadFolder, once, openDevice, readTokens } from '../session';
import { columnsOf, dataSource } from '../sources';
import { chooseTask, datasetFor, taskOfAdapters } from '../task';

export async function evaluate(args: readonly string[]): Promise<number> {
  const { values: v } = parse('eval', args, { model: 'text', task: 'text', adapter: 'list', data: 'text', tokens: 'text', logits: 'text', batch: 'number', seq: 'number', 'held-out': 'number', test: 'number', part: 'text', columns: 'text', template: 'text', scale: 'number', symmetric: 'flag', seed: 'number', weights: 'text' });
  const output = createOutput(v.json ?? false);
  const model = need('eval', 'model', v.model);
  if ((v.data === undefined) === (v.tokens === undefined)) throw new UsageError('eval: give either --data or --tokens');
  const part = v.part ?? (v.test !== undefined && v['held-out'] === undefined ? 'test' : 'validation');
  if (part !== 'validation' && part !== 'test') throw new UsageError(`eval: --part is validation or test, got '${part}'`);
  if (part === 'test' && !v.test) throw new UsageError('eval: --part test wants --test, the share that the run kept apart');
  if (v.logits && !v.tokens) throw new UsageError('eval: --logits goes with --tokens');
  const device = await openDevice(v['adapter-backend'], output);
  const columns = columnsOf('eval', v.columns);
  const data = v.data === undefined ? null : await dataSource(v.data, output);
  const adapted = await taskOfAdapters(v.adapter ?? [], output);
  const weights = weightsOf('eval', v.weights);
  const loaded = await loadFolder(device, model, output, data ? await chooseTask('eval', v.task, await configOf(model, output), [data], columns, { adapted, template: v.template, scale: v.scale, symmetric: v.symmetric }) : adapted, weights);
  const { attachment, bound } = await attachFolders(device, loaded, v.adapter ?? [], output);
  const { adapters, heads } = attachment;
  const through = { heads, ...(bound ? { bound } : {}) };
  let result: Evaluation;
  let evaluator: Evaluator | null = null;
  try {
    if (v.tokens) {
      const batch = readTokens(v.tokens, loaded);
      evaluator = await Evaluator.create(device, loaded, adapters, batch.shape, { logits: v.logits !== undefined, mask: batch.attention_mask !== undefined, ...through });
      result = await evaluator.mean([batch]);
      if (v.logits) {
        const data = await evaluator.logitsOf(batch);
        const classes = labelsOf(loaded.task);
        const shape = labelsRows(loaded.task) ? [batch.shape[0], classes?.length ?? batch.shape[0]] : [...batch.shape, classes?.length ?? loaded.info.vocab];
        await writeFile(v.logits, writeSafetensors([{ name: 'logits', dtype: 'F32', shape, data }], { format: 'pt' }));
      }
    } else {
      const [batch, seq] = [v.batch ?? 4, v.seq ?? Math.min(256, loaded.info.context)];
      const file = data as NonNullable<typeof data>;
      const shape = { batch, seq };
      // Every row of the file, as held-out rows are read; or just what a run with this seed holds out, and as much of it as a run looks at.
      const whole = v['held-out'] === undefined && v.test === undefined;
      const options = whole ? { ...shape, seed: 0, holdout: 0, validationBatches: Number.MAX_SAFE_INTEGER } : { ...shape, seed: v.seed ?? defaultTraining.seed, holdout: v['held-out'] ?? 0, test: v.test ?? 0, validationBatches: VALIDATION_BATCHES };
      const all = await once(`data ${JSON.stringify([model, loaded.task, v.data, whole, options, columns])}`, () => datasetFor(loaded, file, whole ? file : null, options, columns));
      evaluator = await Evaluator.create(device, loaded, adapters, shapeOf(loaded, shape), through);
      result = await evaluator.mean(part === 'test' ? all.test() : all.validation());
    }
  } finally {
    evaluator?.dispose();
    detach(device, attachment);
  }
  const { unit } = taskCard(loaded.task.kind);
  output.event(
    { event: 'eval', loss: result.loss, ...result.metrics, [unit === 'token' ? 'tokens' : 'rows']: result.tokens, ...(v.logits ? { logits: v.logits } : {}) },
    `loss ${result.loss.toFixed(6)} nats a ${unit}${metricsText(result.metrics)}, over ${result.tokens} ${unit}s`,
  );
  return 0;
}
