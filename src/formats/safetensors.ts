// The safetensors format, read strictly and written as the reference implementation writes it: u64 header length, JSON header
// of {dtype, shape, data_offsets} by name, then the bytes of the tensors without a gap. All numbers are little-endian, as is
// every machine that has WebGPU.
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from '../util/float16';
import type { Packed } from '../util/packed';
import { asCheckpointError, bad, clip, show, showList } from './fail';
import { decodeUtf8, isObject, parseJson } from './json';

/** Bits an element. The order is that of the reference, by which files are sorted: alignment first. */
const DTYPES = [
  ['BOOL', 8], ['F4', 4], ['F6_E2M3', 6], ['F6_E3M2', 6], ['U8', 8], ['I8', 8], ['F8_E5M2', 8], ['F8_E4M3', 8], ['F8_E8M0', 8],
  ['F8_E4M3FNUZ', 8], ['F8_E5M2FNUZ', 8], ['I16', 16], ['U16', 16], ['F16', 16], ['BF16', 16], ['I32', 32], ['U32', 32], ['F32', 32],
  ['C64', 64], ['F64', 64], ['I64', 64], ['U64', 64],
] as const;
export type Dtype = (typeof DTYPES)[number][0];
const bitsOf: ReadonlyMap<string, number> = new Map(DTYPES);

/** The reference refuses longer headers too: nobody has that many tensors, and JSON of that size could exhaust memory. */
const MAX_HEADER = 100_000_000;
const AGAIN = 'the file is damaged or was not fully downloaded; download it again';
const REWRITE = 'the file was damaged or written by a faulty program; write it again';

export interface TensorEntry {
  name: string;
  dtype: Dtype;
  shape: number[];
  /** Bytes [begin, end) counted from the start of the data, as in the file. */
  begin: number;
  end: number;
}

/** A tensor in any file of weights. */
export interface WeightEntry { readonly name: string; readonly dtype: string; readonly shape: number[]; readonly begin: number; readonly end: number }
/** The weights of a model, whatever the file they come from. */
export interface Weights {
  readonly name: string;
  readonly entries: readonly WeightEntry[];
  readonly byName: ReadonlyMap<string, WeightEntry>;
  /** The values of one tensor, read afresh. */
  f32(name: string): Promise<Float32Array<ArrayBuffer>>;
  /** The codes and scales of a tensor that the file keeps as such; null for any other. */
  packed?(name: string): Promise<Packed | null>;
}

/** Bytes that need not be in memory: a File, a Blob, an array, a file on disk. */
export interface ByteSource {
  readonly name: string;
  readonly size: number;
  /** The bytes [begin, end) in memory that belongs to the caller from then on. */
  read(begin: number, end: number): Promise<Uint8Array>;
}

export function bytesSource(name: string, bytes: Uint8Array): ByteSource {
  return { name, size: bytes.length, read: async (begin, end) => bytes.slice(begin, end) };
}

export function blobSource(name: string, blob: Blob): ByteSource {
  return { name, size: blob.size, read: async (begin, end) => new Uint8Array(await blob.slice(begin, end).arrayBuffer()) };
}

/** Reads exactly [begin, end): a source that fails or gives fewer bytes is an error by name. */
export async function readExactly(source: ByteSource, begin: number, end: number, where = source.name): Promise<Uint8Array> {
  const todo = 'the file was moved or changed since it was opened; open it again';
  let bytes: Uint8Array;
  try {
    bytes = await source.read(begin, end);
  } catch (error) {
    throw asCheckpointError(error, where, 'cannot be read', todo);
  }
  if (bytes.length !== end - begin) throw bad(where, `${end - begin} bytes were asked for from byte ${begin} on`, `${bytes.length} bytes`, todo);
  return bytes;
}

export interface Header {
  /** In the order of their bytes. */
  entries: TensorEntry[];
  byName: Map<string, TensorEntry>;
  metadata: Record<string, string>;
  /** Where the data start in the file. */
  dataStart: number;
}

/** `bytes` is the start of the file, at least up to the end of the header. */
export function parseHeader(bytes: Uint8Array, fileLength: number, where: string): Header {
  const length = headerLength(bytes, fileLength, where);
  const dataStart = 8 + length;
  if (bytes.length < dataStart) throw bad(where, `the header takes ${dataStart} bytes`, `${bytes.length} bytes`, AGAIN);
  const text = decodeUtf8(bytes.subarray(8, dataStart), `${where}: header`);
  if (text[0] !== '{') throw bad(where, "the header must begin with '{'", show(text.slice(0, 20)), notSafetensors(bytes));
  const json = parseJson(text, `${where}: header`, { plainIntegers: true });
  if (!isObject(json)) throw bad(where, 'the header must be one JSON object', show(json), AGAIN);

  let metadata: Record<string, string> = {};
  const byName = new Map<string, TensorEntry>();
  for (const [name, value] of Object.entries(json)) {
    if (name === '__metadata__') metadata = parseMetadata(value, where);
    else byName.set(name, parseEntry(name, value, where));
  }
  const entries = [...byName.values()].sort((a, b) => a.begin - b.begin || a.end - b.end);
  checkLayout(entries, fileLength - dataStart, where);
  return { entries, byName, metadata, dataStart };
}

function headerLength(bytes: Uint8Array, fileLength: number, where: string): number {
  if (fileLength < 8 || bytes.length < 8) throw bad(where, 'a safetensors file has at least 8 bytes', `${Math.min(fileLength, bytes.length)} bytes`, AGAIN);
  const view = new DataView(bytes.buffer, bytes.byteOffset, 8);
  // Exact up to 2^53, and beyond that far above the limit either way.
  const length = view.getUint32(4, true) * 2 ** 32 + view.getUint32(0, true);
  if (length > MAX_HEADER) throw bad(where, `the header may have ${MAX_HEADER} bytes`, `${length} bytes`, notSafetensors(bytes));
  if (length > fileLength - 8) throw bad(where, `the header of ${length} bytes runs past the end of the file`, `${fileLength} bytes in all`, notSafetensors(bytes));
  return length;
}

/** What people most often have in place of the file they think they have. */
function notSafetensors(bytes: Uint8Array): string {
  const start = String.fromCharCode(...bytes.subarray(0, 8));
  if (start.startsWith('version ')) return "this is a Git LFS pointer, not the weights; fetch them with 'git lfs pull'";
  if (start.startsWith('PK')) return 'this is a zip or a PyTorch pickle; save the model with safe_serialization=True';
  if (start.startsWith('GGUF')) return 'this is a GGUF file; take the safetensors version of the model';
  if (start.startsWith('<')) return 'this is a web page, not the file; download the file itself';
  return 'this is not a safetensors file, or it is damaged; download it again';
}

function parseMetadata(value: unknown, where: string): Record<string, string> {
  if (!isObject(value)) throw bad(where, '__metadata__ must map strings to strings', show(value), REWRITE);
  for (const [key, entry] of Object.entries(value)) {
    if (typeof entry !== 'string') throw bad(`${where}: __metadata__`, `the value of ${show(key)} must be a string`, show(entry), REWRITE);
  }
  return value as Record<string, string>;
}

function parseEntry(name: string, value: unknown, where: string): TensorEntry {
  const at = `${where}: ${show(name)}`;
  // A lone surrogate cannot be written as UTF-8, so no tensor can truly have that name.
  if (/\p{Surrogate}/u.test(name)) throw bad(at, 'the name is not valid Unicode', 'a lone surrogate', REWRITE);
  if (!isObject(value)) throw bad(at, 'the entry must be an object {dtype, shape, data_offsets}', show(value), REWRITE);
  const keys = Object.keys(value).sort();
  if (keys.join() !== 'data_offsets,dtype,shape') throw bad(at, 'the entry must have dtype, shape and data_offsets and nothing else', showList(keys), REWRITE);
  const { dtype, shape, data_offsets: offsets } = value;

  const bits = typeof dtype === 'string' ? bitsOf.get(dtype) : undefined;
  if (bits === undefined) throw bad(at, 'the dtype is not one of safetensors', show(dtype), 'save the tensor as F32, F16 or BF16');
  if (!isIntegers(shape)) throw bad(at, 'the shape must be a list of whole numbers below 2^53', show(shape), REWRITE);
  if (!isIntegers(offsets) || offsets.length !== 2) throw bad(at, 'data_offsets must be two whole numbers below 2^53', show(offsets), REWRITE);
  const [begin, end] = offsets as [number, number];
  if (end < begin) throw bad(at, 'the data end before they begin', `[${begin}, ${end}]`, REWRITE);
  const bytes = byteLength(shape, bits, at);
  if (end - begin !== bytes) throw bad(at, `${show(dtype)} ${showShape(shape)} takes ${bytes} bytes`, `${end - begin} bytes at [${begin}, ${end}]`, REWRITE);
  return { name, dtype: dtype as Dtype, shape, begin, end };
}

function isIntegers(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);
}

function byteLength(shape: readonly number[], bits: number, at: string): number {
  let total = bits;
  for (const n of shape) {
    total *= n;
    if (total > Number.MAX_SAFE_INTEGER) throw bad(at, 'the shape is too large to be true', showShape(shape), REWRITE);
  }
  if (total % 8 !== 0) throw bad(at, 'the tensor does not fill whole bytes', `${total} bits`, REWRITE);
  return total / 8;
}

/** One after the other from 0 to the last byte: no hole in which to hide anything, no byte that two tensors share. */
function checkLayout(entries: readonly TensorEntry[], dataLength: number, where: string): void {
  let next = 0;
  for (const { name, begin, end } of entries) {
    const at = `${where}: ${show(name)}`;
    if (begin < next) throw bad(at, `the data overlap those of another tensor, which end at byte ${next}`, `they begin at byte ${begin}`, REWRITE);
    if (begin > next) throw bad(at, `there is a hole of ${begin - next} bytes before the data`, `they begin at byte ${begin}`, REWRITE);
    if (end > dataLength) throw bad(at, 'the data run past the end of the file', `they end at byte ${end} of ${dataLength}`, AGAIN);
    next = end;
  }
  if (next < dataLength) throw bad(where, 'there are bytes after the last tensor', `${dataLength - next} bytes`, REWRITE);
}

export interface SafetensorsFile extends Weights {
  readonly name: string;
  /** In the order of their bytes; for a sharded model one shard after the other, with the offsets of each tensor's own shard. */
  readonly entries: readonly TensorEntry[];
  readonly byName: ReadonlyMap<string, TensorEntry>;
  readonly metadata: Readonly<Record<string, string>>;
  /** The bytes as they stand in the file. Every call reads this one tensor afresh. */
  raw(name: string): Promise<Uint8Array<ArrayBuffer>>;
  /** The values of an F32, F16, BF16 or F64 tensor. */
  f32(name: string): Promise<Float32Array<ArrayBuffer>>;
  /** The values of a BOOL or integer tensor, as long as they fit 32 bits with sign. */
  ints(name: string): Promise<Int32Array<ArrayBuffer>>;
}

export async function openSafetensors(source: ByteSource): Promise<SafetensorsFile> {
  const length = headerLength(await readExactly(source, 0, Math.min(8, source.size)), source.size, source.name);
  const header = parseHeader(await readExactly(source, 0, 8 + length), source.size, source.name);
  return view(source.name, header.entries, header.metadata, async (entry, where) => {
    return aligned(await readExactly(source, header.dataStart + entry.begin, header.dataStart + entry.end, where));
  });
}

function view(
  name: string,
  entries: readonly TensorEntry[],
  metadata: Readonly<Record<string, string>>,
  read: (entry: TensorEntry, where: string) => Promise<Uint8Array<ArrayBuffer>>,
): SafetensorsFile {
  const byName = new Map(entries.map((entry) => [entry.name, entry]));
  async function load(tensor: string) {
    const entry = byName.get(tensor);
    const where = `${name}: ${show(tensor)}`;
    if (!entry) throw bad(where, 'there is no such tensor', `tensors ${showList([...byName.keys()])}`, 'check that the file belongs to this model');
    return { entry, where, bytes: await read(entry, where) };
  }
  return {
    name,
    entries,
    byName,
    metadata,
    raw: async (tensor) => (await load(tensor)).bytes,
    async f32(tensor) {
      const { entry, where, bytes } = await load(tensor);
      return toFloats(bytes, entry.dtype, where);
    },
    async ints(tensor) {
      const { entry, where, bytes } = await load(tensor);
      return toInts(bytes, entry.dtype, where);
    },
  };
}

/** The same bytes at an address that every typed array accepts; copied only where a source gave a part of a larger buffer. */
function aligned(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer, byteOffset, length } = bytes;
  return buffer instanceof ArrayBuffer && byteOffset % 8 === 0 ? new Uint8Array(buffer, byteOffset, length) : new Uint8Array(bytes);
}

function toFloats({ buffer, byteOffset, length }: Uint8Array<ArrayBuffer>, dtype: Dtype, where: string): Float32Array<ArrayBuffer> {
  switch (dtype) {
    case 'F32': return new Float32Array(buffer, byteOffset, length / 4);
    case 'F16': return f16ToF32(new Uint16Array(buffer, byteOffset, length / 2));
    case 'BF16': return bf16ToF32(new Uint16Array(buffer, byteOffset, length / 2));
    case 'F64': {
      const wide = new Float64Array(buffer, byteOffset, length / 8);
      const narrow = Float32Array.from(wide);
      const lost = narrow.findIndex((x, i) => Math.abs(x) === Number.POSITIVE_INFINITY && Number.isFinite(wide[i]));
      if (lost >= 0) throw bad(where, 'an F64 value is too large for float32', `${wide[lost]} at index ${lost}`, 'save the tensor as F32');
      return narrow;
    }
    default: throw bad(where, 'the tensor must hold F32, F16, BF16 or F64 numbers', dtype, 'save it as F32, F16 or BF16');
  }
}

function toInts({ buffer, byteOffset, length }: Uint8Array<ArrayBuffer>, dtype: Dtype, where: string): Int32Array<ArrayBuffer> {
  switch (dtype) {
    case 'BOOL':
    case 'U8': return Int32Array.from(new Uint8Array(buffer, byteOffset, length));
    case 'I8': return Int32Array.from(new Int8Array(buffer, byteOffset, length));
    case 'I16': return Int32Array.from(new Int16Array(buffer, byteOffset, length / 2));
    case 'U16': return Int32Array.from(new Uint16Array(buffer, byteOffset, length / 2));
    case 'I32': return new Int32Array(buffer, byteOffset, length / 4);
    case 'U32': return narrow(new Uint32Array(buffer, byteOffset, length / 4), where);
    case 'I64': return narrow(new BigInt64Array(buffer, byteOffset, length / 8), where);
    case 'U64': return narrow(new BigUint64Array(buffer, byteOffset, length / 8), where);
    default: throw bad(where, 'the tensor must hold whole numbers', dtype, 'save it as I32 or I64');
  }
}

function narrow(values: Uint32Array | BigInt64Array | BigUint64Array, where: string): Int32Array<ArrayBuffer> {
  const out = new Int32Array(values.length);
  for (let i = 0; i < out.length; i++) {
    out[i] = Number(values[i]);
    if (out[i] !== Number(values[i])) throw bad(where, 'a number does not fit 32 bits with sign', `${values[i]} at index ${i}`, 'check that the tensor holds what you think it does');
  }
  return out;
}

/** A model in several files, by its model.safetensors.index.json (the text of it). `open` is called once a shard. */
export async function openSharded(index: string, open: (file: string) => Promise<ByteSource>, where = 'model.safetensors.index.json'): Promise<SafetensorsFile> {
  const json = parseJson(index, where);
  const map = isObject(json) ? json.weight_map : undefined;
  if (!isObject(map)) throw bad(where, 'weight_map must say which file holds each tensor', show(map), AGAIN);

  const shards = new Map<string, SafetensorsFile>();
  for (const [tensor, file] of Object.entries(map)) {
    // The name comes from a file, and may become a path: it must not lead out of the folder.
    if (typeof file !== 'string' || !/^[^/\\]+$/.test(file) || file === '..') throw bad(`${where}: ${show(tensor)}`, 'the shard must be a file name', show(file), AGAIN);
    if (!shards.has(file)) shards.set(file, await openSafetensors(await openShard(file, open, where)));
    if (!shards.get(file)?.byName.has(tensor)) throw bad(`${where}: ${show(tensor)}`, `the tensor is not in the shard the index names`, file, 'index and shards are of different downloads; download all of them again');
  }
  if (shards.size === 0) throw bad(where, 'weight_map names no tensor', '{}', AGAIN);

  const entries: TensorEntry[] = [];
  for (const [file, shard] of shards) {
    const stray = shard.entries.find((entry) => map[entry.name] !== file);
    if (stray) throw bad(`${file}: ${show(stray.name)}`, 'the shard holds a tensor that the index does not put there', `the index says ${show(map[stray.name] ?? null)}`, 'index and shards are of different downloads; download all of them again');
    entries.push(...shard.entries);
  }
  const metadata = [...shards.values()][0]?.metadata ?? {};
  return view(where, entries, metadata, (entry) => (shards.get(map[entry.name] as string) as SafetensorsFile).raw(entry.name));
}

async function openShard(file: string, open: (file: string) => Promise<ByteSource>, where: string): Promise<ByteSource> {
  const todo = 'put every shard beside the index';
  try {
    return await open(file);
  } catch (error) {
    throw asCheckpointError(error, where, `the shard ${show(file)} cannot be opened`, todo);
  }
}

/** F16 and BF16 may be given as float32, to be rounded, or as their bits. */
export type NewTensor = { name: string; shape: readonly number[] } & (
  | { dtype: 'F32'; data: Float32Array }
  | { dtype: 'F16' | 'BF16'; data: Float32Array | Uint16Array }
  | { dtype: 'I32'; data: Int32Array }
  | { dtype: 'U32'; data: Uint32Array }
);

/** The whole file. The order of the tensors given does not matter: equal content gives equal bytes. */
export function writeSafetensors(tensors: readonly NewTensor[], metadata: Readonly<Record<string, string>> = {}, where = 'writeSafetensors'): Uint8Array<ArrayBuffer> {
  const rank = new Map<string, number>(DTYPES.map(([dtype], i) => [dtype, i]));
  const sorted = [...tensors].sort((a, b) => (rank.get(b.dtype) ?? 0) - (rank.get(a.dtype) ?? 0) || compareNames(a.name, b.name));

  const seen = new Set<string>();
  const lines: string[] = [];
  const parts: Uint8Array[] = [];
  const keys = Object.keys(metadata).sort(compareNames);
  if (keys.length > 0) lines.push(`"__metadata__":{${keys.map((key) => `${JSON.stringify(key)}:${JSON.stringify(metadata[key])}`).join()}}`);
  let offset = 0;
  for (const tensor of sorted) {
    const { name, dtype, shape } = tensor;
    const at = `${where}: ${show(name)}`;
    if (name === '__metadata__' || seen.has(name) || /\p{Surrogate}/u.test(name)) throw bad(at, 'a tensor needs a name of its own in valid Unicode', show(name), 'give each tensor another name');
    seen.add(name);
    if (!isIntegers(shape)) throw bad(at, 'the shape must be a list of whole numbers', show(shape), 'correct the shape');
    const bytes = toBytes(tensor, at);
    const wanted = byteLength(shape, bitsOf.get(dtype) ?? 0, at);
    if (bytes.length !== wanted) throw bad(at, `${dtype} ${showShape(shape)} takes ${wanted} bytes`, `${bytes.length} bytes`, 'give data of that shape');
    lines.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [offset, offset + bytes.length] })}`);
    parts.push(bytes);
    offset += bytes.length;
  }

  const text = new TextEncoder().encode(`{${lines.join()}}`);
  const headerSize = Math.ceil(text.length / 8) * 8;
  if (headerSize > MAX_HEADER) throw bad(where, `the header may have ${MAX_HEADER} bytes`, `${headerSize} bytes`, 'write fewer tensors or less metadata');
  const file = allocate(8 + headerSize + offset, where).fill(0x20, 8 + text.length, 8 + headerSize);
  new DataView(file.buffer).setUint32(0, headerSize, true);
  file.set(text, 8);
  let position = 8 + headerSize;
  for (const part of parts) {
    file.set(part, position);
    position += part.length;
  }
  return file;
}

function toBytes({ dtype, data }: NewTensor, at: string): Uint8Array {
  let stored: Float32Array | Uint16Array | Int32Array | Uint32Array = data;
  if (dtype === 'F16' && data instanceof Float32Array) {
    stored = f32ToF16(data);
    const lost = stored.findIndex((half, i) => (half & 0x7fff) === 0x7c00 && Number.isFinite(data[i]));
    if (lost >= 0) throw bad(at, 'F16 ends at 65504', `${data[lost]} at index ${lost}`, 'write BF16 or F32');
  } else if (dtype === 'BF16' && data instanceof Float32Array) {
    stored = f32ToBf16(data);
  }
  return new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
}

function allocate(size: number, where: string): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(size);
  } catch {
    throw bad(where, 'the file does not fit in memory', `${size} bytes`, 'write F16 or fewer tensors');
  }
}

/** By code points, which is the order of the bytes in UTF-8; `<` compares UTF-16 and differs beyond the basic plane. */
function compareNames(a: string, b: string): number {
  const left = [...a];
  const right = [...b];
  const i = left.findIndex((c, k) => c !== right[k]);
  if (i < 0) return left.length - right.length;
  return (left[i]?.codePointAt(0) ?? 0) - (right[i]?.codePointAt(0) ?? -1);
}

function showShape(shape: readonly number[]): string {
  return clip(`[${shape.join(', ')}]`);
}
