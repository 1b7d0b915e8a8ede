// The data of a model that reads pictures: prepared as its checkpoint asks, with the texts that its task sets beside them. The readers are
// fetched when they are first wanted.
import type { FileDataset } from '../data/dataset';
import type { PictureTask, PreparedPictures } from '../data/pictures/dataset';
import type { Columns } from '../data/rows';
import type { DataFile } from '../data/table';
import type { Task } from '../models/model';
import { ConfigError } from '../util/errors';
import type { Watch } from '../util/pace';
import { DEFAULT_TEMPLATE } from './config';
import type { LoadedModel } from './loaded';
import { shapeOf } from './task';

export interface PictureDataOptions {
  readonly batch: number;
  readonly seq: number;
  readonly seed: number;
  readonly holdout: number;
  readonly test?: number;
  readonly validationBatches?: number;
}

/** Names of the classes of pictures, in the checkpoint's order where it names all of them. */
export async function pictureClasses(file: DataFile, columns: Columns, known: readonly string[]): Promise<string[]> {
  const [{ readPictures }, { classesOf }] = await Promise.all([import('../data/pictures/read'), import('../data/encoder')]);
  return classesOf(file.name, (await readPictures(file, 'label', columns)).rows, known);
}

/** Decoded and resized for this model; holds whatever the task's classes and the split are. */
export async function picturesFor({ info, folder, task }: Pick<LoadedModel, 'info' | 'folder' | 'task'>, file: DataFile, columns: Columns = {}, watch: Watch = {}): Promise<PreparedPictures> {
  const [{ preparePictures }, { preprocessOf }] = await Promise.all([import('../data/pictures/dataset'), import('../data/pictures/preprocess')]);
  if (!info.image) throw new ConfigError('the model reads no pictures', 'Choose a model of pictures.');
  return preparePictures(file, task.kind === 'image-caption' ? 'caption' : 'label', preprocessOf(folder.preprocessor ?? null, info.image), columns, watch);
}

/** Training and held-out batches; `validation` has all of the latter, where it is given. */
export async function arrangedPictures(loaded: LoadedModel, prepared: PreparedPictures, validation: PreparedPictures | null, options: PictureDataOptions): Promise<FileDataset> {
  const { arrangePictures } = await import('../data/pictures/dataset');
  const { task, info, tokenizer } = loaded;
  const texts = tokenizer && info.textEnd !== undefined ? { tokenizer, time: shapeOf(loaded, options)[1], end: info.textEnd } : null;
  return arrangePictures(prepared, validation, pictureTask(task), texts, options);
}

function pictureTask(task: Task): PictureTask {
  if (task.kind === 'image-caption' || task.kind === 'image-classification') return task;
  if (task.kind === 'image-text') return { ...task, template: task.template ?? DEFAULT_TEMPLATE };
  throw new ConfigError(`the task ${task.kind} is not one of pictures`);
}
