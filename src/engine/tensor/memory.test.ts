// Where lasting tensors live: buffers of their own, slices of an arena, constants; and what may not be written.
import { beforeAll, describe, expect, it } from 'vitest';
import { DeviceLimitError } from '../../util/errors';
import type { Device } from '../gpu/device';
import { testDevice } from '../testing/device';
import { ARENA_BLOCK, allocate, allocateArena, free, freeArena, layout, readF32, sliceOf, upload, write } from './memory';
import { type Shape, constant, tensor, view } from './tensor';

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
const param = (shape: Shape, label = 'p') => tensor(label, shape, 'param');

describe('an arena', () => {
  const tensors = () => [param([3]), param([65]), param([64]), param([2, 5])];

  it('starts each tensor at a multiple of a block', () => {
    expect(layout(tensors())).toEqual({ starts: [0, 64, 192, 256], length: 320 });
    expect(layout([])).toEqual({ starts: [], length: ARENA_BLOCK });
  });

  it('is one tensor and many: writes through either are seen through the other, and gaps stay zero', async () => {
    const parts = tensors();
    const { starts, length } = layout(parts);
    const arena = allocateArena(device, param([length], 'flat'), parts);
    expect(await readF32(device, arena.flat)).toEqual(new Float32Array(length));
    parts.forEach((t, i) => write(device, t, new Float32Array(t.shape.reduce((a, b) => a * b, 1)).fill(i + 1)));
    const flat = await readF32(device, arena.flat);
    const wanted = new Float32Array(length);
    parts.forEach((t, i) => wanted.fill(i + 1, starts[i], (starts[i] as number) + t.shape.reduce((a, b) => a * b, 1)));
    expect(flat).toEqual(wanted);
    write(device, arena.flat, flat.map((v) => 10 * v));
    expect([...(await readF32(device, parts[3] as (typeof parts)[number]))]).toEqual(Array(10).fill(40));
    const before = device.bytes;
    freeArena(device, arena);
    expect(before - device.bytes).toBe(4 * length);
    expect(parts.some((t) => device.slices.has(t.id))).toBe(false);
  });
});

describe('a tensor of its own', () => {
  it('starts at zero, is counted, and is given back once', async () => {
    const t = param([5]);
    const before = device.bytes;
    // Five numbers take 20 bytes, and buffers come in sixteens.
    expect(allocate(device, t).size).toBe(32);
    expect(device.bytes - before).toBe(32);
    expect(device.peakBytes).toBeGreaterThanOrEqual(device.bytes);
    expect([...(await readF32(device, t))]).toEqual([0, 0, 0, 0, 0]);
    free(device, t);
    free(device, t);
    expect(device.bytes).toBe(before);
  });

  it('shares its numbers with its views', async () => {
    const t = upload(device, param([2, 3]), Float32Array.of(1, 2, 3, 4, 5, 6));
    const flat = view(t, [6]);
    expect([...(await readF32(device, view(flat, [3, 2])))]).toEqual([1, 2, 3, 4, 5, 6]);
    write(device, flat, Float32Array.of(6, 5, 4, 3, 2, 1));
    expect([...(await readF32(device, t))]).toEqual([6, 5, 4, 3, 2, 1]);
    expect(sliceOf(device, flat)).toBe(sliceOf(device, t));
    free(device, t);
  });

  it('is a constant once a key, uploaded when it is first asked for', async () => {
    let made = 0;
    const make = () => constant('test 1 2', [2], 'u32', () => { made++; return Uint32Array.of(1, 2); });
    expect(make()).toBe(make());
    expect(made).toBe(0);
    expect(new Uint32Array((await readF32(device, make())).buffer)).toEqual(Uint32Array.of(1, 2));
    await readF32(device, make());
    expect(made).toBe(1);
  });
});

describe('refused', () => {
  it('are writes of another length or another type of number', () => {
    expect(() => write(device, param([3]), new Float32Array(4))).toThrow('write: p [3] has 3 elements, got 4');
    expect(() => write(device, tensor('ids', [3], 'input', 'u32'), new Float32Array(3))).toThrow('write: ids [3] holds u32, got a Float32Array');
    expect(() => write(device, param([3]), new Int32Array(3))).toThrow('write: p [3] holds f32, got a Int32Array');
    expect(() => write(device, tensor('h', [3], 'step'), new Float32Array(3))).toThrow('h [3] is a step tensor that was not kept');
  });

  it('is a buffer larger than the device allows, before it is asked for', () => {
    const most = Math.min(device.gpu.limits.maxBufferSize, device.gpu.limits.maxStorageBufferBindingSize);
    const before = device.bytes;
    const large = tensor('logits', [most / 4 + 1], 'param');
    expect(() => allocate(device, large)).toThrow(DeviceLimitError);
    expect(() => allocate(device, large)).toThrow(`logits: needs ${Math.ceil((most + 4) / 16) * 16} bytes in one buffer, this device allows ${most}`);
    expect(device.bytes).toBe(before);
  });
});
