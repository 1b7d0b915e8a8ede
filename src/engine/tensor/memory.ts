// Where tensors live on a device: lasting ones in buffers of their own or in slices of an arena.
import { StudioError } from '../../util/errors';
import { f16ToF32, f32ToF16 } from '../../util/float16';
import { type Packed, dequantise, fromWords, quantise, toWords } from '../../util/packed';
import { type Device, type Slice, roundUp } from '../gpu/device';
import { type HostData, type Tensor, byteLength, describe, elements, isPacked, isQuantised, rootOf } from './tensor';

const ALIGNMENT = 256;

/** The slice of a lasting tensor; a constant is uploaded when it is first asked for. */
export function sliceOf(device: Device, tensor: Tensor): Slice {
  const t = rootOf(tensor);
  const found = device.slices.get(t.id);
  if (found) return found;
  if (t.life === 'step') throw new StudioError(`${describe(t)} is a step tensor that was not kept`, 'Pass it in `keep` when the graph is compiled.');
  const slice = allocate(device, t);
  if (t.constant) write(device, t, t.constant());
  return slice;
}

/** Gives `t` a zeroed buffer of its own. */
export function allocate(device: Device, t: Tensor): Slice {
  const buffer = device.allocate(byteLength(t), t.label);
  const slice = { buffer, offset: 0, size: buffer.size };
  device.slices.set(t.id, slice);
  return slice;
}

export function free(device: Device, t: Tensor): void {
  const slice = device.slices.get(t.id);
  if (!slice) return;
  device.slices.delete(t.id);
  device.release(slice.buffer);
}

/** Rounded to f16, an even number of them: writes come in fours of bytes. */
function halves(values: Float32Array): Uint16Array {
  const bits = f32ToF16(values);
  if (bits.length % 2 === 0) return bits;
  const even = new Uint16Array(bits.length + 1);
  even.set(bits);
  return even;
}

/** Writes all of `t`, before whatever is submitted next. Packed tensors take f32 numbers and round them. */
export function write(device: Device, t: Tensor, data: HostData): void {
  if (data.length !== elements(t)) throw new StudioError(`write: ${describe(t)} has ${elements(t)} elements, got ${data.length}`);
  if (data instanceof Float32Array !== (t.dtype === 'f32' || isPacked(t.dtype))) throw new StudioError(`write: ${describe(t)} holds ${t.dtype}, got a ${data.constructor.name}`);
  put(device, t, isQuantised(t.dtype) ? toWords(quantise(t.dtype, data as Float32Array)) : t.dtype === 'f16' ? halves(data as Float32Array) : data);
}

/** Codes and scales of a quantised tensor as they are, before whatever is submitted next. */
export function writePacked(device: Device, t: Tensor, packed: Packed): void {
  if (packed.kind !== t.dtype || packed.codes.length !== elements(t)) throw new StudioError(`write: ${describe(t)} holds ${elements(t)} of ${t.dtype}, got ${packed.codes.length} of ${packed.kind}`);
  put(device, t, toWords(packed));
}

function put(device: Device, t: Tensor, bytes: ArrayBufferView): void {
  const { buffer, offset } = sliceOf(device, t);
  device.gpu.queue.writeBuffer(buffer, offset, bytes as GPUAllowSharedBufferSource);
}

/** Copies all numbers of a lasting tensor to another, before whatever is submitted next. */
export function copyTensor(device: Device, from: Tensor, to: Tensor): void {
  if (byteLength(from) !== byteLength(to)) throw new StudioError(`copy: ${describe(from)} and ${describe(to)} differ in size`);
  const [a, b] = [sliceOf(device, from), sliceOf(device, to)];
  const encoder = device.gpu.createCommandEncoder();
  encoder.copyBufferToBuffer(a.buffer, a.offset, b.buffer, b.offset, byteLength(from));
  device.gpu.queue.submit([encoder.finish()]);
}

export function upload(device: Device, t: Tensor, data: HostData): Tensor {
  write(device, t, data);
  return t;
}

/** The numbers of a lasting or kept tensor. */
export async function readBytes(device: Device, t: Tensor, slice = sliceOf(device, t)): Promise<ArrayBuffer> {
  return (await device.read(slice)).slice(0, byteLength(t));
}
export async function readF32(device: Device, t: Tensor): Promise<Float32Array> {
  const bytes = await readBytes(device, t);
  if (isQuantised(t.dtype)) return dequantise(fromWords(t.dtype, new Uint32Array(bytes), elements(t)));
  return t.dtype === 'f16' ? f16ToF32(new Uint16Array(bytes, 0, elements(t))) : new Float32Array(bytes);
}

/**
 * Many tensors in one buffer, each at a multiple of 256 bytes, so that one kernel can walk over all of them:
 * AdamW, norms, snapshots. `flat` is the whole as one tensor [elements]; the gaps stay zero.
 */
export interface Arena {
  readonly flat: Tensor;
  readonly tensors: readonly Tensor[];
  /** First element of each tensor in `flat`. */
  readonly starts: readonly number[];
}
/** Elements of `flat` that share one entry of a block table. */
export const ARENA_BLOCK = ALIGNMENT / 4;

/** Starts and length in elements of an arena for these tensors; allocates nothing. */
export function layout(tensors: readonly Tensor[]): { starts: number[]; length: number } {
  let length = 0;
  const starts = tensors.map((t) => {
    const start = length;
    length += roundUp(byteLength(t), ALIGNMENT) / 4;
    return start;
  });
  return { starts, length: Math.max(length, ARENA_BLOCK) };
}

/** Allocates `flat` and gives each tensor its slice of it. The buffer starts zeroed. */
export function allocateArena(device: Device, flat: Tensor, tensors: readonly Tensor[]): Arena {
  const { starts } = layout(tensors);
  const { buffer } = allocate(device, flat);
  tensors.forEach((t, i) => {
    device.slices.set(t.id, { buffer, offset: 4 * (starts[i] as number), size: roundUp(byteLength(t), 16) });
  });
  return { flat, tensors, starts };
}

export function freeArena(device: Device, arena: Arena): void {
  for (const t of arena.tensors) device.slices.delete(t.id);
  free(device, arena.flat);
}
