// The batches of a task: on the host, and the tensors that a recorded step reads.
import { type HostData, type Tensor, tensor } from '../engine/tensor/tensor';
import { type Task, labelsOf } from '../models/model';
import type { PeftTask } from '../formats/peft';
import { DataError } from '../util/errors';
import type { LoadedModel } from './loaded';
import type { Call } from './task-loss';

/** A batch on the host. */
export interface TokenBatch {
  /** [batch, time]; empty where the model reads pictures. */
  readonly input_ids: Uint32Array;
  /** [batch, time] of language models, −100 = no loss, not shifted; [batch] of classification, the number of the class, −100 = an empty row. */
  readonly labels: Int32Array;
  /** [batch, channels, size, size], as the model's preprocessor leaves them. */
  readonly pixel_values?: Float32Array | undefined;
  /** [batch, time], 0 = padding. */
  readonly attention_mask?: Uint32Array | undefined;
  /** [batch, time], 1 = of the second text of a pair. */
  readonly token_type_ids?: Uint32Array | undefined;
}

/** The tensors that a batch is written to. */
export interface BatchTensors {
  readonly labels: Tensor;
  readonly ids?: Tensor;
  readonly pixels?: Tensor;
  readonly mask?: Tensor;
  readonly types?: Tensor;
}

/** Models of pictures have no time. Encoders always get a mask and token types; a decoder, whose rows are padded at the end, a mask where it is asked for. */
export function batchTensors({ model, info, task }: Pick<LoadedModel, 'model' | 'info' | 'task'>, [batch, time]: readonly [number, number], withMask = false): BatchTensors {
  const byClass = labelsOf(task) !== null;
  if (info.image) {
    const { channels, size } = info.image;
    return { pixels: tensor('pixel_values', [batch, channels, size, size], 'input'), labels: tensor('labels', [batch], 'input', 'i32') };
  }
  const shape = [batch, time];
  const u32 = (name: string) => tensor(name, shape, 'input', 'u32');
  const encoder = model.kind === 'encoder';
  return {
    ids: u32('input_ids'),
    labels: tensor('labels', byClass ? [batch] : shape, 'input', 'i32'),
    ...(encoder || withMask ? { mask: u32('attention_mask') } : {}),
    ...(encoder ? { types: u32('token_type_ids') } : {}),
  };
}

/** What a step is run with: no mask hides nothing, no types are all of the first text. */
export function hostInputs({ ids, pixels, labels, mask, types }: BatchTensors, batch: TokenBatch): Map<Tensor, HostData> {
  const inputs = new Map<Tensor, HostData>([[labels, batch.labels]]);
  if (ids) inputs.set(ids, batch.input_ids);
  if (pixels) {
    if (!batch.pixel_values) throw new DataError('the model reads pictures, and the batch has none');
    inputs.set(pixels, batch.pixel_values);
  }
  if (mask) inputs.set(mask, batch.attention_mask ?? new Uint32Array(batch.input_ids.length).fill(1));
  if (types) inputs.set(types, batch.token_type_ids ?? new Uint32Array(batch.input_ids.length));
  return inputs;
}

/** A call of the model on these tensors. */
export const callOf = ({ ids, pixels, mask, types }: BatchTensors, more: Pick<Call, 'training' | 'heads'>): Call => ({ ...(ids ? { ids } : {}), ...(pixels ? { pixels } : {}), ...(mask ? { mask } : {}), ...(types ? { types } : {}), ...more });

/** `task_type` of adapter_config.json; PEFT has none for masked language models and pictures. */
export const peftTask = ({ kind }: Task): PeftTask | null => ({ 'causal-lm': 'CAUSAL_LM', 'masked-lm': null, 'sequence-classification': 'SEQ_CLS', 'image-classification': null } as const)[kind];
