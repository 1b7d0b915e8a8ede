// The batches of a task: on the host, and the tensors that a recorded step reads.
import { type HostData, type Tensor, tensor } from '../engine/tensor/tensor';
import { type Task, labelsOf, labelsRows } from '../models/model';
import { DataError } from '../util/errors';
import type { LoadedModel } from './loaded';
import { taskCard } from './tasks';
import type { Call } from './task-loss';

/** A batch on the host. */
export interface TokenBatch {
  /** [batch, time]; [2 batch, time] of pairs of texts; [texts, time] of models that read texts beside pictures, empty where pictures are all. */
  readonly input_ids: Uint32Array;
  /** [batch, time] of language models, −100 = no loss, not shifted; of words the number of the tag at their first tokens; [batch] of classification and pairs, the number of the class or of the second text, −100 = an empty row. */
  readonly labels: Int32Array;
  /** [batch, channels, size, size], as the model's preprocessor leaves them. */
  readonly pixel_values?: Float32Array | undefined;
  /** [texts]: `textEnds` of the ids, of models that read texts beside pictures. */
  readonly text_ends?: Uint32Array | undefined;
  /** [batch, time], 0 = padding. */
  readonly attention_mask?: Uint32Array | undefined;
  /** [batch, time], 1 = of the second text of a pair. */
  readonly token_type_ids?: Uint32Array | undefined;
  /** [batch] of pairs of texts: how much they belong together, NaN where nothing says so. */
  readonly scores?: Float32Array | undefined;
}

/** The tensors that a batch is written to. */
export interface BatchTensors {
  readonly labels: Tensor;
  readonly ids?: Tensor;
  readonly pixels?: Tensor;
  readonly ends?: Tensor;
  readonly mask?: Tensor;
  readonly types?: Tensor;
}

/** Rows of a batch and places in a row; what reads texts beside pictures takes no more places than it has. */
export const shapeOf = ({ info }: Pick<LoadedModel, 'info'>, { batch, seq }: { readonly batch: number; readonly seq: number }): readonly [number, number] => [batch, info.image ? Math.min(seq, info.context) : seq];

/** Texts of a batch: one a row, two of pairs. */
const textsOf = ({ kind }: Task, batch: number): number => (kind === 'sentence-embedding' ? 2 * batch : batch);

/** What the rate of a run counts in one batch: its tokens, padding included, or its pictures. */
export const unitsOf = ({ task }: Pick<LoadedModel, 'task'>, { batch, seq }: { readonly batch: number; readonly seq: number }): number => (taskCard(task.kind).unit === 'picture' ? batch : textsOf(task, batch) * seq);

/** Models of pictures have no time. Encoders always get a mask and token types; a decoder, whose rows are padded at the end, a mask where it is asked for. */
export function batchTensors({ model, info, task }: Pick<LoadedModel, 'model' | 'info' | 'task'>, [batch, time]: readonly [number, number], withMask = false): BatchTensors {
  if (info.image) {
    // A text for each class, or a caption for each picture.
    const texts = labelsOf(task)?.length ?? batch;
    const { channels, size } = info.image;
    return {
      pixels: tensor('pixel_values', [batch, channels, size, size], 'input'), labels: tensor('labels', [batch], 'input', 'i32'),
      ...(info.textEnd === undefined ? {} : { ids: tensor('input_ids', [texts, time], 'input', 'u32'), ends: tensor('text_ends', [texts], 'input', 'u32') }),
    };
  }
  const shape = [textsOf(task, batch), time];
  const u32 = (name: string) => tensor(name, shape, 'input', 'u32');
  const encoder = model.kind === 'encoder';
  return {
    ids: u32('input_ids'),
    labels: tensor('labels', labelsRows(task) ? [batch] : shape, 'input', 'i32'),
    ...(encoder || withMask ? { mask: u32('attention_mask') } : {}),
    ...(encoder ? { types: u32('token_type_ids') } : {}),
  };
}

/** What a step is run with: no mask hides nothing, no types are all of the first text. */
export function hostInputs({ ids, pixels, ends, labels, mask, types }: BatchTensors, batch: TokenBatch): Map<Tensor, HostData> {
  const inputs = new Map<Tensor, HostData>([[labels, batch.labels]]);
  if (ids) inputs.set(ids, batch.input_ids);
  if (pixels) {
    if (!batch.pixel_values) throw new DataError('the model reads pictures, and the batch has none');
    inputs.set(pixels, batch.pixel_values);
  }
  if (ends) {
    if (!batch.text_ends) throw new DataError('the model reads texts at their ends, and the batch does not say where they are');
    inputs.set(ends, batch.text_ends);
  }
  if (mask) inputs.set(mask, batch.attention_mask ?? new Uint32Array(batch.input_ids.length).fill(1));
  if (types) inputs.set(types, batch.token_type_ids ?? new Uint32Array(batch.input_ids.length));
  return inputs;
}

/** Rows among [texts · time] at which texts [texts, time] are read: the first `end` token of each, or its largest id. */
export function textEnds(ids: Uint32Array, time: number, end: number | 'largest'): Uint32Array {
  return Uint32Array.from({ length: ids.length / time }, (_, text) => {
    const row = ids.subarray(text * time, (text + 1) * time);
    // As argmax over matches has it, a text without an end is read at its first token.
    return text * time + Math.max(0, row.indexOf(end === 'largest' ? row.reduce((a, b) => Math.max(a, b), 0) : end));
  });
}

/** A call of the model on these tensors. */
export const callOf = ({ ids, pixels, ends, mask, types }: BatchTensors, more: Pick<Call, 'training' | 'joint' | 'heads'>): Call => ({ ...(ids ? { ids } : {}), ...(pixels ? { pixels } : {}), ...(ends ? { ends } : {}), ...(mask ? { mask } : {}), ...(types ? { types } : {}), ...more });
