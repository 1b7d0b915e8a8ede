// Which task a verb works on, and the data in its form.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DataFile, type DatasetOptions, type FileDataset, datasetFromFile, datasetFromSplit } from '../data/dataset';
import { classesOf, classificationDataset, maskedDataset, readExamples } from '../data/encoder';
import type { Columns } from '../data/rows';
import type { Tokenizer } from '../data/tokenizer';
import { openPeftFolder } from '../formats/peft-form';
import type { Task, TaskKind } from '../models/model';
import { taskOf } from '../models/registry';
import type { Watch } from '../util/pace';
import { UsageError } from './options';
import type { Output } from './output';
import { adapterSources } from './sources';

const KINDS: readonly TaskKind[] = ['causal-lm', 'masked-lm', 'sequence-classification', 'image-classification', 'image-text'];

/** The task called `name`, by default what the checkpoint was made for; classes are those of the data, in the checkpoint's or the adapter's order. */
export async function chooseTask(verb: string, name: string | undefined, config: unknown, data: readonly DataFile[], columns: Columns = {}, adapted?: Task): Promise<Task> {
  const made = adapted ?? taskOf(config);
  const kind = KINDS.find((known) => known === (name ?? made.kind));
  if (!kind) throw new UsageError(`${verb}: --task ${name}: the tasks are ${KINDS.join(', ')}`);
  if (kind === 'image-classification' || kind === 'image-text') {
    if (data.length > 0) throw new UsageError(`${verb}: --data: files of texts are read, and this model is for pictures: the command line reads no pictures yet`);
    if (made.kind !== kind) throw new UsageError(`${verb}: --task ${kind}: the model is not made for it`);
    return made;
  }
  if (kind !== 'sequence-classification') return { kind };
  if (data.length === 0) {
    if (made.kind === kind) return made;
    throw new UsageError(`${verb}: --data is missing: its labels say how many classes there are`);
  }
  return { kind, labels: classesOf((data[0] as DataFile).name, (await Promise.all(data.map((file) => readExamples(file, columns)))).flat(), made.kind === kind ? made.labels : []) };
}

/** The task that the first of these adapters that says so was trained for: in its run.json, or by its PEFT files alone. */
export async function taskOfAdapters(directories: readonly string[], output: Output): Promise<Task | undefined> {
  for (const directory of directories) {
    try {
      const { task } = JSON.parse(readFileSync(join(directory, 'run.json'), 'utf8')) as { task?: Task };
      if (task && KINDS.includes(task.kind)) return task;
    } catch {
      // An adapter from elsewhere has none.
    }
    const folder = await openPeftFolder(await adapterSources(directory, output));
    if (folder?.config.task_type !== 'SEQ_CLS') continue;
    const last = folder.weights.entries.find(({ name }) => /\.(classifier|score|classifier\.out_proj)\.weight$/.test(name));
    return { kind: 'sequence-classification', labels: Array.from({ length: last?.shape[0] ?? 2 }, (_, i) => `LABEL_${i}`) };
  }
  return undefined;
}

/** Training and held-out batches; `validation` is a file of its own for the latter. */
export function datasetFor(task: Task, train: DataFile, validation: DataFile | null, tokenizer: Tokenizer, options: DatasetOptions, columns: Columns = {}, watch: Watch = {}): Promise<FileDataset> {
  if (task.kind === 'sequence-classification') return classificationDataset(train, validation, task.labels, tokenizer, options, columns);
  if (task.kind === 'masked-lm') return maskedDataset(train, validation, tokenizer, options, columns);
  return validation ? datasetFromSplit(train, validation, tokenizer, options, columns) : datasetFromFile(train, tokenizer, options, columns, watch);
}
