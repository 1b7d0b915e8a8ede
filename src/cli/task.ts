// Which task a verb works on, and the data in its form.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DataFile, type DatasetOptions, type FileDataset, datasetFromFile, datasetFromSplit } from '../data/dataset';
import { type EncoderTask, encoderDataset } from '../data/encoder';
import type { Columns } from '../data/rows';
import { openPeftFolder } from '../formats/peft-form';
import { EMBEDDING, type Task } from '../models/model';
import { type PictureDataOptions, arrangedPictures, picturesFor } from '../training/picture-data';
import type { LoadedModel } from '../training/loaded';
import { type TaskWish, taskFor } from '../training/task-for';
import { TASK_NAMES, type TaskName, columnsText, hasColumns, taskCard } from '../training/tasks';
import { ColumnsError, ConfigError } from '../util/errors';
import type { Watch } from '../util/pace';
import { UsageError } from './options';
import type { Output } from './output';
import { adapterSources } from './sources';

/** A --task by its name in the table of tasks. */
export function taskNamed(verb: string, name: string | undefined): TaskName | undefined {
  if (name === undefined || TASK_NAMES.includes(name as TaskName)) return name as TaskName | undefined;
  throw new UsageError(`${verb}: --task ${name}: the tasks are ${TASK_NAMES.join(', ')}`);
}

/** The task called `name`, by default what the checkpoint was made for; classes are those of the data, in the checkpoint's or the adapter's order. */
export async function chooseTask(verb: string, name: string | undefined, config: unknown, data: readonly DataFile[], columns: Columns = {}, { adapted, template, scale, symmetric }: Omit<TaskWish, 'name' | 'columns'> = {}): Promise<Task> {
  return taskFor(config, data, { name: taskNamed(verb, name), columns, adapted, template, scale, symmetric });
}

/** The task that the first of these adapters that says so was trained for: in its run.json, or by its PEFT files alone. */
export async function taskOfAdapters(directories: readonly string[], output: Output): Promise<Task | undefined> {
  for (const directory of directories) {
    try {
      const { task } = JSON.parse(readFileSync(join(directory, 'run.json'), 'utf8')) as { task?: Task };
      if (task && taskCard(task.kind)) return task;
    } catch {
      // An adapter from elsewhere has none.
    }
    const folder = await openPeftFolder(await adapterSources(directory, output));
    if (folder?.config.task_type === 'FEATURE_EXTRACTION') return EMBEDDING;
    const kind = folder?.config.task_type === 'SEQ_CLS' ? 'sequence-classification' : folder?.config.task_type === 'TOKEN_CLS' ? 'token-classification' : null;
    if (!kind) continue;
    const last = folder?.weights.entries.find(({ name }) => /\.(classifier|score|classifier\.out_proj)\.weight$/.test(name));
    return { kind, labels: Array.from({ length: last?.shape[0] ?? 2 }, (_, i) => `LABEL_${i}`) };
  }
  return undefined;
}

/** Training and held-out batches for a model; `validation` is a file of its own for the latter. */
export async function datasetFor(loaded: LoadedModel, train: DataFile, validation: DataFile | null, options: Omit<DatasetOptions, 'context'> & PictureDataOptions, columns: Columns = {}, watch: Watch = {}, name: TaskName = loaded.task.kind): Promise<FileDataset> {
  const data = await readFor(loaded, train, validation, options, columns, watch);
  const used = data.summary.format === 'text' ? { text: '' } : data.summary.form === 'picture-label' ? { image: '', label: '' } : data.summary.used;
  if (!hasColumns(name, used)) throw new ColumnsError(`${train.name}: the task ${name} wants ${columnsText(name)}; got ${Object.keys(used).join(' and ')}`, 'Say which column is what, or choose another task.', data.summary.columns);
  return data;
}

async function readFor(loaded: LoadedModel, train: DataFile, validation: DataFile | null, options: Omit<DatasetOptions, 'context'> & PictureDataOptions, columns: Columns, watch: Watch): Promise<FileDataset> {
  const { task, info, name, tokenizer } = loaded;
  if (info.image) {
    const prepared = await picturesFor(loaded, train, columns, watch);
    return arrangedPictures(loaded, prepared, validation && (validation === train ? prepared : await picturesFor(loaded, validation, columns, watch)), options);
  }
  if (!tokenizer) throw new ConfigError(`${name}: tokenizer.json is missing`, 'Add the tokenizer of this model to its folder.');
  const all = { ...options, context: info.context };
  if (task.kind !== 'causal-lm') return encoderDataset(task as EncoderTask, train, validation, tokenizer, all, columns);
  return validation ? datasetFromSplit(train, validation, tokenizer, all, columns) : datasetFromFile(train, tokenizer, all, columns, watch);
}
