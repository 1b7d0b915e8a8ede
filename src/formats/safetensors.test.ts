import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CheckpointError } from '../util/errors';
import { f32ToBf16, f32ToF16 } from '../util/float16';
import { blobSource, bytesSource, type ByteSource, type NewTensor, openSafetensors, openSharded, parseHeader, writeSafetensors } from './safetensors';

const project = join(import.meta.dirname, '../..');

/** A file with any header, right or wrong, before `dataBytes` zeros. */
function craft(header: unknown, dataBytes = 0, length?: number): Uint8Array {
  const text = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const file = new Uint8Array(8 + text.length + dataBytes);
  const view = new DataView(file.buffer);
  view.setBigUint64(0, BigInt(length ?? text.length), true);
  file.set(text, 8);
  return file;
}

const open = (bytes: Uint8Array) => openSafetensors(bytesSource('m.safetensors', bytes));

async function failure(promise: Promise<unknown>): Promise<CheckpointError> {
  const error = await promise.then(() => null, (e: unknown) => e);
  expect(error).toBeInstanceOf(CheckpointError);
  return error as CheckpointError;
}

const f32x2 = { dtype: 'F32', shape: [2], data_offsets: [0, 8] };
const good = craft({ a: f32x2, b: { dtype: 'F32', shape: [1, 2], data_offsets: [8, 16] } }, 16);

describe('what a hostile or damaged file may try', () => {
  const attacks: [name: string, file: Uint8Array, says: RegExp][] = [
    ['empty file', new Uint8Array(0), /at least 8 bytes: 0 bytes/],
    ['seven bytes', new Uint8Array(7), /at least 8 bytes: 7 bytes/],
    ['no header at all', new Uint8Array(8), /must begin with '\{'/],
    ['huge header', craft('{}', 0, 100_000_001), /may have 100000000 bytes: 100000001/],
    ['header length beyond 2^53', (() => { const f = craft('{}'); f.fill(255, 0, 8); return f; })(), /may have 100000000 bytes/],
    ['header past the end', craft('{}', 0, 3), /header of 3 bytes runs past the end of the file: 10 bytes/],
    ['not UTF-8', (() => { const f = craft({ x: f32x2 }, 8); f[10] = 0xff; return f; })(), /not UTF-8/],
    ['header that begins with a space', craft(` ${JSON.stringify({ a: f32x2 })}`, 8), /must begin with '\{'/],
    ['header that begins with a byte order mark', craft(`\uFEFF${JSON.stringify({ a: f32x2 })}`, 8), /must begin with '\{'/],
    ['broken JSON', craft('{"a":', 0), /not valid JSON/],
    ['text after the JSON', craft(`${JSON.stringify({ a: f32x2 })}x`, 8), /not valid JSON/],
    ['deeply nested JSON', craft(`{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`), /m\.safetensors: .*(object|not valid JSON)/],
    ['duplicate tensor', craft(`{"a":${JSON.stringify(f32x2)},"a":${JSON.stringify(f32x2)}}`, 8), /a: the key stands twice/],
    ['duplicate tensor in disguise', craft(`{"a":${JSON.stringify(f32x2)},"\\u0061":${JSON.stringify(f32x2)}}`, 8), /a: the key stands twice/],
    ['duplicate field', craft('{"a":{"dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8]}}', 8), /a: shape: the key stands twice/],
    ['duplicate metadata', craft('{"__metadata__":{"k":"1","k":"2"}}'), /__metadata__: k: the key stands twice/],
    ['overlap', craft({ a: f32x2, b: { ...f32x2, data_offsets: [4, 12] } }, 12), /b: the data overlap/],
    ['two names for the same bytes', craft({ a: f32x2, b: f32x2 }, 8), /b: the data overlap/],
    ['hole between tensors', craft({ a: f32x2, b: { ...f32x2, data_offsets: [12, 20] } }, 20), /b: there is a hole of 4 bytes/],
    ['hole at the start', craft({ a: { ...f32x2, data_offsets: [8, 16] } }, 16), /a: there is a hole of 8 bytes/],
    ['bytes behind the last tensor', craft({ a: f32x2 }, 9), /bytes after the last tensor: 1 bytes/],
    ['bytes and no tensor', craft({}, 1), /bytes after the last tensor: 1 bytes/],
    ['cut short by one byte', good.slice(0, -1), /b: the data run past the end of the file: they end at byte 16 of 15/],
    ['one byte too long', (() => { const f = new Uint8Array(good.length + 1); f.set(good); return f; })(), /bytes after the last tensor: 1 bytes/],
    ['negative offset', craft({ a: { ...f32x2, data_offsets: [-8, 0] } }, 8), /a: data_offsets: only strings and whole numbers from 0 on .*: -8/],
    ['fractional offset', craft({ a: { ...f32x2, data_offsets: [0.5, 8.5] } }, 9), /a: data_offsets: only .*0\.5/],
    ['offset written as a float', craft('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8.0]}}', 8), /a: data_offsets: only .*8\.0/],
    ['offset written with an exponent', craft('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8e0]}}', 8), /a: data_offsets: only .*8e0/],
    ['negative zero', craft('{"a":{"dtype":"F32","shape":[2],"data_offsets":[-0,8]}}', 8), /a: data_offsets: only .*-0/],
    ['end before begin', craft({ a: { ...f32x2, data_offsets: [8, 0] } }, 8), /a: the data end before they begin: \[8, 0\]/],
    ['three offsets', craft({ a: { ...f32x2, data_offsets: [0, 8, 8] } }, 8), /a: data_offsets must be two/],
    ['offsets as strings', craft({ a: { ...f32x2, data_offsets: ['0', '8'] } }, 8), /a: data_offsets must be two/],
    ['null for an offset', craft({ a: { ...f32x2, data_offsets: [null, 8] } }, 8), /a: data_offsets: only .*null/],
    ['offset above 2^53', craft('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,9007199254740993]}}', 8), /a: data_offsets must be two/],
    ['size unlike the shape', craft({ a: { ...f32x2, shape: [3] } }, 8), /a: F32 \[3\] takes 12 bytes: 8 bytes/],
    ['size unlike the dtype', craft({ a: { ...f32x2, dtype: 'F16' } }, 8), /a: F16 \[2\] takes 4 bytes: 8 bytes/],
    ['shape overflow', craft({ a: { ...f32x2, shape: [2 ** 31, 2 ** 31, 2 ** 31] } }, 8), /a: the shape is too large/],
    ['shape overflow that would wrap to the right size', craft('{"a":{"dtype":"F32","shape":[4611686018427387906],"data_offsets":[0,8]}}', 8), /a: the shape must be/],
    ['negative shape', craft({ a: { ...f32x2, shape: [-2] } }, 8), /a: shape: only .*-2/],
    ['shape that is no list', craft({ a: { ...f32x2, shape: 2 } }, 8), /a: the shape must be a list/],
    ['unknown dtype', craft({ a: { ...f32x2, dtype: 'F31' } }, 8), /a: the dtype is not one of safetensors: F31/],
    ['dtype by prototype', craft({ a: { ...f32x2, dtype: 'constructor' } }, 8), /a: the dtype is not one of safetensors/],
    ['missing dtype', craft({ a: { shape: [2], data_offsets: [0, 8] } }, 8), /a: the entry must have/],
    ['unknown field', craft({ a: { ...f32x2, more: 1 } }, 8), /a: the entry must have .*more/],
    ['entry that is a number', craft({ a: 1 }), /a: the entry must be an object/],
    ['sub-byte tensor that ends within a byte', craft({ a: { dtype: 'F4', shape: [3], data_offsets: [0, 2] } }, 2), /a: the tensor does not fill whole bytes: 12 bits/],
    ['metadata with a number', craft({ __metadata__: { k: 1 } }), /__metadata__: the value of k must be a string: 1/],
    ['metadata with null', craft({ __metadata__: { k: null } }), /__metadata__: k: only/],
    ['metadata that is a list', craft({ __metadata__: [] }), /__metadata__ must map strings/],
    ['lone surrogate as a name', craft('{"\\ud800":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', 8), /not valid Unicode/],
    ['megabytes of name', craft({ ['n'.repeat(1_000_000)]: { ...f32x2, dtype: 'X' } }, 8), /^.{0,400}$/s],
    ['Git LFS pointer', new TextEncoder().encode('version https://git-lfs.github.com/spec/v1'), /git lfs pull/],
    ['web page', new TextEncoder().encode('<!DOCTYPE html><html>'), /web page/],
    ['pickle', new TextEncoder().encode('PK\u0003\u0004 and so on and on'), /safe_serialization=True/],
  ];

  it.each(attacks)('%s', async (_, file, says) => {
    const error = await failure(open(file));
    expect(error.message).toMatch(says);
    // where: what was wrong: what was got; what to do
    expect(error.message).toMatch(/^m\.safetensors: .+: .*; .+$/s);
    expect(error.hint).not.toBe('');
    expect(error.message.endsWith(`; ${error.hint}`)).toBe(true);
    if (file.length >= 8) expect(() => parseHeader(file, file.length, 'm')).toThrow(CheckpointError);
  });

  it('takes names like __proto__ for what they are', async () => {
    const file = await open(craft(`{"__proto__":${JSON.stringify(f32x2)},"__metadata__":{"__proto__":"x"}}`, 8));
    expect(file.entries.map((entry) => entry.name)).toEqual(['__proto__']);
    expect(Object.entries(file.metadata)).toEqual([['__proto__', 'x']]);
    expect(Object.getPrototypeOf(file.metadata)).toBe(Object.prototype);
  });
});

describe('what is right though unusual', () => {
  it('reads an empty file, empty tensors, scalars, padding and unsorted entries', async () => {
    expect((await open(craft({}))).entries).toEqual([]);
    const file = await open(craft(`${JSON.stringify({
      z: { dtype: 'F32', shape: [], data_offsets: [4, 8] },
      none: { dtype: 'F64', shape: [3, 0], data_offsets: [4, 4] },
      first: { dtype: 'BOOL', shape: [4], data_offsets: [0, 4] },
      odd: { dtype: 'F6_E2M3', shape: [4], data_offsets: [8, 11] },
    })} \n `, 11));
    expect(file.entries.map((entry) => entry.name)).toEqual(['first', 'none', 'z', 'odd']);
    expect(await file.f32('z')).toEqual(Float32Array.of(0));
    expect(await file.f32('none')).toEqual(new Float32Array(0));
    expect((await file.raw('odd')).length).toBe(3);
    expect(file.byName.get('z')).toEqual({ name: 'z', dtype: 'F32', shape: [], begin: 4, end: 8 });
  });

  it('does not take equal keys of different objects, or values, for duplicates', async () => {
    const file = await open(craft({ __metadata__: { a: 'a', dtype: '"a":{,}', 'k\\': '\\' }, a: f32x2, dtype: { ...f32x2, data_offsets: [8, 16] } }, 16));
    expect(file.entries.length).toBe(2);
    expect(file.metadata).toEqual({ a: 'a', dtype: '"a":{,}', 'k\\': '\\' });
  });
});

describe('values', () => {
  const buffer = (array: ArrayBufferView) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  async function one(dtype: string, values: ArrayBufferView, count: number) {
    const bytes = buffer(values);
    const file = craft({ x: { dtype, shape: [count], data_offsets: [0, bytes.length] } }, bytes.length);
    file.set(bytes, file.length - bytes.length);
    return open(file);
  }

  it('widens every float type', async () => {
    const values = Float32Array.of(1, -0.5, 65504, 2 ** -24);
    expect(await (await one('F32', values, 4)).f32('x')).toEqual(values);
    expect(await (await one('F16', f32ToF16(values), 4)).f32('x')).toEqual(values);
    expect(await (await one('F64', Float64Array.from(values), 4)).f32('x')).toEqual(values);
    expect(await (await one('BF16', f32ToBf16(Float32Array.of(1, -0.5)), 2)).f32('x')).toEqual(Float32Array.of(1, -0.5));
  });

  it('narrows every integer type', async () => {
    const cases: [string, ArrayBufferView, number[]][] = [
      ['BOOL', Uint8Array.of(0, 1), [0, 1]], ['U8', Uint8Array.of(255), [255]], ['I8', Int8Array.of(-128), [-128]],
      ['I16', Int16Array.of(-3), [-3]], ['U16', Uint16Array.of(65535), [65535]], ['I32', Int32Array.of(-(2 ** 31)), [-(2 ** 31)]],
      ['U32', Uint32Array.of(2 ** 31 - 1), [2 ** 31 - 1]], ['I64', BigInt64Array.of(-100n, 2n ** 31n - 1n), [-100, 2 ** 31 - 1]], ['U64', BigUint64Array.of(7n), [7]],
    ];
    for (const [dtype, array, wanted] of cases) expect([...(await (await one(dtype, array, wanted.length)).ints('x'))]).toEqual(wanted);
  });

  it('refuses what would change the numbers, by name', async () => {
    expect((await failure((await one('U32', Uint32Array.of(2 ** 31), 1)).ints('x'))).message).toMatch(/m\.safetensors: x: .*2147483648 at index 0/);
    expect((await failure((await one('I64', BigInt64Array.of(0n, -(2n ** 31n) - 1n), 2)).ints('x'))).message).toMatch(/-2147483649 at index 1/);
    expect((await failure((await one('I64', BigInt64Array.of(2n ** 32n), 1)).ints('x'))).message).toMatch(/4294967296/);
    expect((await failure((await one('F64', Float64Array.of(1e39), 1)).f32('x'))).message).toMatch(/1e\+39 at index 0/);
    expect((await failure((await one('I32', Int32Array.of(1), 1)).f32('x'))).message).toMatch(/x: .*F32, F16, BF16 or F64 numbers: I32/);
    expect((await failure((await one('F32', Float32Array.of(1), 1)).ints('x'))).message).toMatch(/whole numbers: F32/);
    expect((await failure((await one('F32', Float32Array.of(1), 1)).f32('y'))).message).toMatch(/y: there is no such tensor: tensors x/);
    expect(await (await one('F64', Float64Array.of(Number.NEGATIVE_INFINITY), 1)).f32('x')).toEqual(Float32Array.of(Number.NEGATIVE_INFINITY));
  });
});

describe('sources', () => {
  const bytes = writeSafetensors([
    { name: 'a', dtype: 'F32', shape: [3], data: Float32Array.of(1, 2, 3) },
    { name: 'b', dtype: 'F16', shape: [1], data: Float32Array.of(4) },
  ]);

  it('reads a Blob and a view inside a larger buffer alike', async () => {
    const inside = new Uint8Array(bytes.length + 3);
    inside.set(bytes, 3);
    for (const source of [blobSource('blob', new Blob([bytes])), bytesSource('view', inside.subarray(3))]) {
      const file = await openSafetensors(source);
      expect(await file.f32('a')).toEqual(Float32Array.of(1, 2, 3));
      expect(await file.f32('b')).toEqual(Float32Array.of(4));
    }
  });

  it('never reads more than header and the one tensor, and gives memory of its own', async () => {
    const reads: [number, number][] = [];
    const inner = bytesSource('spy', bytes);
    const file = await openSafetensors({ ...inner, read(begin, end) {
      reads.push([begin, end]);
      return inner.read(begin, end);
    } });
    const start = bytes.length - 14;
    expect(reads).toEqual([[0, 8], [0, start]]);
    (await file.f32('a'))[0] = 99;
    expect(await file.f32('a')).toEqual(Float32Array.of(1, 2, 3));
    expect(reads.slice(2)).toEqual([[start, start + 12], [start, start + 12]]);
  });

  it('copies a misaligned part of a larger buffer', async () => {
    const inner = bytesSource('pooled', bytes);
    const file = await openSafetensors({ ...inner, async read(begin, end) {
      const pool = new Uint8Array(end - begin + 5);
      pool.set(await inner.read(begin, end), 5);
      return pool.subarray(5);
    } });
    expect(await file.f32('a')).toEqual(Float32Array.of(1, 2, 3));
  });

  it('names the file and the tensor when a source fails or comes up short', async () => {
    const inner = bytesSource('gone.safetensors', bytes);
    const late = { ...inner, read: (begin: number, end: number) => (begin > 0 ? Promise.reject(new Error('NotReadableError')) : inner.read(begin, end)) };
    expect((await failure((await openSafetensors(late)).f32('a'))).message).toMatch(/gone\.safetensors: a: cannot be read: NotReadableError; .*open it again/);
    const short = { ...inner, read: (begin: number, end: number) => inner.read(begin, begin > 0 ? end - 1 : end) };
    expect((await failure((await openSafetensors(short)).raw('a'))).message).toMatch(/12 bytes were asked for .*: 11 bytes/);
  });
});

describe('writing', () => {
  it('lays a file out as the reference does', () => {
    const file = writeSafetensors([
      { name: 'b', dtype: 'F16', shape: [1], data: Uint16Array.of(0x3c00) },
      { name: 'i', dtype: 'I32', shape: [], data: Int32Array.of(-1) },
      { name: 'u', dtype: 'U32', shape: [1, 1], data: Uint32Array.of(7) },
      { name: 'z', dtype: 'F32', shape: [1], data: Float32Array.of(2) },
      { name: 'a', dtype: 'F32', shape: [1], data: Float32Array.of(1) },
      { name: 'h', dtype: 'BF16', shape: [0], data: new Uint16Array(0) },
    ], { format: 'pt', a: '"' });
    const header = '{"__metadata__":{"a":"\\"","format":"pt"},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"z":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},'
      + '"u":{"dtype":"U32","shape":[1,1],"data_offsets":[8,12]},"i":{"dtype":"I32","shape":[],"data_offsets":[12,16]},'
      + '"h":{"dtype":"BF16","shape":[0],"data_offsets":[16,16]},"b":{"dtype":"F16","shape":[1],"data_offsets":[16,18]}}';
    const padded = header.padEnd(Math.ceil(header.length / 8) * 8);
    expect(new TextDecoder().decode(file.subarray(8, 8 + padded.length))).toBe(padded);
    expect([...file.subarray(0, 8)]).toEqual([padded.length & 255, padded.length >> 8, 0, 0, 0, 0, 0, 0]);
    expect([...file.subarray(8 + padded.length)]).toEqual([0, 0, 128, 63, 0, 0, 0, 64, 7, 0, 0, 0, 255, 255, 255, 255, 0, 60]);
  });

  it('sorts names by code point, beyond the basic plane too', async () => {
    const names = ['\u{1F600}', '\uFFFD', 'a', 'ab', 'B', ''];
    const file = await open(writeSafetensors(names.map((name): NewTensor => ({ name, dtype: 'U32', shape: [1], data: Uint32Array.of(1) }))));
    expect(file.entries.map((entry) => entry.name)).toEqual(['', 'B', 'a', 'ab', '\uFFFD', '\u{1F600}']);
  });

  it('refuses what could not be read back', () => {
    const a: NewTensor = { name: 'a', dtype: 'F32', shape: [1], data: Float32Array.of(1) };
    expect(() => writeSafetensors([a, a])).toThrow(/a: a tensor needs a name of its own/);
    expect(() => writeSafetensors([{ ...a, name: '__metadata__' }])).toThrow(CheckpointError);
    expect(() => writeSafetensors([{ ...a, shape: [2] }])).toThrow(/a: F32 \[2\] takes 8 bytes: 4 bytes/);
    expect(() => writeSafetensors([{ ...a, shape: [-1] }])).toThrow(CheckpointError);
    expect(() => writeSafetensors([{ ...a, dtype: 'F16', data: Float32Array.of(1e5) }])).toThrow(/a: F16 ends at 65504: 100000 at index 0; write BF16 or F32/);
    expect(() => writeSafetensors([{ ...a, dtype: 'F16', data: Float32Array.of(Number.POSITIVE_INFINITY) }])).not.toThrow();
  });

  const tensor: fc.Arbitrary<NewTensor> = fc.record({
    name: fc.string({ unit: 'grapheme', maxLength: 12 }).filter((name) => name !== '__metadata__'),
    shape: fc.array(fc.nat(4), { maxLength: 4 }),
    dtype: fc.constantFrom('F32', 'F16', 'BF16', 'I32', 'U32'),
    seed: fc.nat(),
  }).map(({ name, shape, dtype, seed }) => {
    const count = shape.reduce((a, b) => a * b, 1);
    const numbers = Array.from({ length: count }, (_, i) => (seed + i * 7919) % 2048);
    if (dtype === 'I32') return { name, shape, dtype, data: Int32Array.from(numbers, (n) => -n) };
    if (dtype === 'U32') return { name, shape, dtype, data: Uint32Array.from(numbers) };
    const data = Float32Array.from(numbers, (n) => (n % 256) / 8);
    return dtype === 'F32' ? { name, shape, dtype, data } : { name, shape, dtype, data };
  });
  const tensors = fc.uniqueArray(tensor, { selector: (t) => t.name, maxLength: 8 });

  it('reads back what it wrote, whatever the order given', async () => {
    await fc.assert(fc.asyncProperty(tensors, fc.dictionary(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' })), async (list, metadata) => {
      const bytes = writeSafetensors(list, metadata);
      expect(writeSafetensors([...list].reverse(), metadata)).toEqual(bytes);
      expect(new DataView(bytes.buffer).getUint32(0, true) % 8).toBe(0);
      const file = await open(bytes);
      expect(Object.entries(file.metadata).sort()).toEqual(Object.entries(metadata).sort());
      expect(file.byName.size).toBe(list.length);
      for (const { name, shape, dtype, data } of list) {
        expect(file.byName.get(name)).toMatchObject({ dtype, shape });
        const values = dtype === 'I32' || dtype === 'U32' ? await file.ints(name) : await file.f32(name);
        expect([...values]).toEqual([...data]);
      }
    }), { numRuns: 300 });
  });

  it('answers every flipped, cut or lengthened file with a CheckpointError or a whole reading', async () => {
    const change = fc.record({ at: fc.nat(), to: fc.integer({ min: 0, max: 255 }) });
    await fc.assert(fc.asyncProperty(tensors, fc.array(change, { maxLength: 5 }), fc.option(fc.nat()), async (list, changes, cut) => {
      let bytes = writeSafetensors(list, { format: 'pt' });
      // Half the changes fall on the header, where they matter most.
      for (const { at, to } of changes) bytes[at % (at % 2 === 0 ? Math.min(bytes.length, 200) : bytes.length)] = to;
      if (cut !== null) bytes = bytes.slice(0, cut % (bytes.length + 1));
      await survives(bytes);
    }), { numRuns: 3000 });
  });

  it('answers every made-up header with a CheckpointError or a whole reading', async () => {
    const number = fc.oneof(fc.nat(16), fc.integer(), fc.double(), fc.constantFrom(2 ** 53, 2 ** 60, 4, 8));
    const entry = fc.record({ dtype: fc.constantFrom('F32', 'F16', 'I64', 'F4', 'X', 1), shape: fc.array(number, { maxLength: 3 }), data_offsets: fc.array(number, { minLength: 1, maxLength: 3 }) }, { requiredKeys: [] });
    const header = fc.dictionary(fc.oneof(fc.constantFrom('a', 'b', '__metadata__'), fc.string()), fc.oneof({ weight: 4, arbitrary: entry }, { weight: 1, arbitrary: fc.jsonValue() }), { maxKeys: 3 });
    await fc.assert(fc.asyncProperty(header, fc.nat(32), async (json, data) => survives(craft(json, data))), { numRuns: 2000 });
    await fc.assert(fc.asyncProperty(fc.string(), fc.nat(8), async (text, data) => survives(craft(`{${text}`, data))), { numRuns: 500 });
  });

  async function survives(bytes: Uint8Array) {
    try {
      const file = await open(bytes);
      // What was accepted accounts for every byte.
      const total = file.entries.reduce((sum, entry) => sum + entry.end - entry.begin, 0);
      expect(total).toBe(bytes.length - 8 - new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true));
      for (const { name } of file.entries) {
        await file.raw(name);
        await file.f32(name).catch(expectNamed);
        await file.ints(name).catch(expectNamed);
      }
    } catch (error) {
      expectNamed(error);
    }
  }
  function expectNamed(error: unknown) {
    if (!(error instanceof CheckpointError)) throw error;
  }
});

describe('shards', () => {
  const part = (name: string, value: number) => writeSafetensors([{ name, dtype: 'F32', shape: [1], data: Float32Array.of(value) }], { format: 'pt' });
  const files = new Map([['one.safetensors', part('a', 1)], ['two.safetensors', part('b', 2)]]);
  const index = (map: unknown) => JSON.stringify({ metadata: { total_size: 8 }, weight_map: map });
  const opener = (calls: string[] = []) => async (file: string): Promise<ByteSource> => {
    calls.push(file);
    const bytes = files.get(file);
    if (!bytes) throw new Error('ENOENT');
    return bytesSource(file, bytes);
  };

  it('reads like one file and opens each shard once', async () => {
    const calls: string[] = [];
    const file = await openSharded(index({ b: 'two.safetensors', a: 'one.safetensors' }), opener(calls));
    expect(calls.sort()).toEqual(['one.safetensors', 'two.safetensors']);
    expect([...(await file.f32('a')), ...(await file.f32('b'))]).toEqual([1, 2]);
    expect(file.entries.map((entry) => entry.name).sort()).toEqual(['a', 'b']);
    expect(file.metadata).toEqual({ format: 'pt' });
    expect((await failure(file.f32('c'))).message).toMatch(/index\.json: c: there is no such tensor/);
  });

  const wrong: [string, string, RegExp][] = [
    ['a missing shard', index({ a: 'three.safetensors' }), /the shard three\.safetensors cannot be opened: ENOENT/],
    ['a tensor its shard lacks', index({ a: 'one.safetensors', c: 'one.safetensors' }), /c: the tensor is not in the shard the index names: one\.safetensors/],
    ['a tensor in another shard', index({ a: 'two.safetensors', b: 'one.safetensors' }), /a: the tensor is not in the shard/],
    ['a tensor the index leaves out', JSON.stringify({ weight_map: { a: 'one.safetensors', b: 'one.safetensors' } }), /b: the tensor is not in the shard/],
    ['a path that leads out', index({ a: '../one.safetensors' }), /a: the shard must be a file name: \.\.\/one/],
    ['a shard that is no name', index({ a: 1 }), /a: the shard must be a file name: 1/],
    ['no weight_map', '{}', /weight_map must say/],
    ['an empty weight_map', index({}), /weight_map names no tensor/],
    ['a tensor named twice', '{"weight_map":{"a":"one.safetensors","a":"two.safetensors"}}', /weight_map: a: the key stands twice/],
    ['no JSON', 'weight_map', /not valid JSON/],
  ];
  it.each(wrong)('refuses %s', async (_, text, says) => {
    expect((await failure(openSharded(text, opener()))).message).toMatch(says);
  });

  it('refuses a shard with a tensor that the index does not know', async () => {
    const both = writeSafetensors([{ name: 'a', dtype: 'U32', shape: [1], data: Uint32Array.of(1) }, { name: 'x', dtype: 'U32', shape: [1], data: Uint32Array.of(1) }]);
    const error = await failure(openSharded(index({ a: 's.safetensors' }), async (file) => bytesSource(file, both)));
    expect(error.message).toMatch(/s\.safetensors: x: the shard holds a tensor that the index does not put there/);
  });
});

describe('a real model', () => {
  const bytes = new Uint8Array(readFileSync(join(project, 'public/models/tale-1m/model.safetensors')));

  it('opens, and every tensor reads', async () => {
    const file = await open(bytes);
    expect(file.metadata).toEqual({ format: 'pt' });
    expect(file.byName.get('model.embed_tokens.weight')).toMatchObject({ dtype: 'F16', shape: [4096, 128] });
    for (const { name, shape } of file.entries) {
      const values = await file.f32(name);
      expect(values.length).toBe(shape.reduce((a, b) => a * b, 1));
      expect(values.every(Number.isFinite)).toBe(true);
    }
  });

  it('comes out byte for byte when written again', async () => {
    const file = await open(bytes);
    const tensors = await Promise.all(file.entries.map(async ({ name, shape }): Promise<NewTensor> => ({ name, dtype: 'F16', shape, data: await file.f32(name) })));
    expect(Buffer.compare(writeSafetensors(tensors, file.metadata), bytes)).toBe(0);
  });
});
