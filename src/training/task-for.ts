// The task that a model learns on some data: by name, or as its checkpoint was made for; its classes are those of the data.
import { readTagged } from '../data/annotated';
import { classesOf, readExamples } from '../data/encoder';
import type { Columns } from '../data/rows';
import type { DataFile } from '../data/table';
import { EMBEDDING, type Task, type TaskKind } from '../models/model';
import { modelFor, taskOf } from '../models/registry';
import { ConfigError } from '../util/errors';
import { pictureClasses } from './picture-data';
import { type TaskName, taskCard, tasks, tasksFor } from './tasks';

export interface TaskWish {
  readonly name?: TaskName | undefined;
  readonly columns?: Columns | undefined;
  /** Of pictures sorted by texts. */
  readonly template?: string | undefined;
  /** Of pairs of texts. */
  readonly scale?: number | undefined;
  readonly symmetric?: boolean | undefined;
  /** The task of an adapter on the model, in place of the checkpoint's. */
  readonly adapted?: Task | undefined;
}

/** Classes stand in the checkpoint's or the adapter's order where that names all of them. No data: its own classes. */
export async function taskFor(config: unknown, data: readonly DataFile[], { name, columns = {}, template, scale, symmetric, adapted }: TaskWish): Promise<Task> {
  const made = adapted ?? taskOf(config);
  const kind: TaskKind = tasks[name ?? made.kind].kind;
  const model = modelFor(config);
  if (!taskCard(kind).models.includes(model.kind)) throw new ConfigError(`the task ${name} is not for models of ${model.id}`, `They can learn: ${tasksFor(model.kind).join(', ')}.`);
  if (kind === 'sentence-embedding') {
    const before = made.kind === kind ? made : EMBEDDING;
    return { kind, scale: scale ?? before.scale, symmetric: symmetric ?? before.symmetric };
  }
  if (kind !== 'sequence-classification' && kind !== 'token-classification' && kind !== 'image-classification' && kind !== 'image-text') return { kind };
  const own = kind === 'image-text' && template !== undefined ? { template } : {};
  if (data.length === 0) {
    if (made.kind === kind) return { ...made, ...own };
    throw new ConfigError(`the task ${name} wants data`, 'Their labels say which classes there are.');
  }
  const known = made.kind === kind ? made.labels : [];
  const labels = kind === 'sequence-classification'
    ? classesOf((data[0] as DataFile).name, (await Promise.all(data.map((file) => readExamples(file, columns)))).flat(), known)
    : kind === 'token-classification' ? classesOf((data[0] as DataFile).name, (await Promise.all(data.map((file) => readTagged(file, columns)))).flatMap(({ rows }) => rows.flatMap(({ tags }) => tags.map((label) => ({ label })))), known)
    : [...new Set((await Promise.all(data.map((file) => pictureClasses(file, columns, known)))).flat())];
  return { ...(made.kind === kind ? made : {}), ...own, kind, labels } as Task;
}
