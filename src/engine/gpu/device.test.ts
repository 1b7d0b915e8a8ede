// The device: what it refuses, what it counts, and what a broken shader's error shows.
import { beforeAll, describe, expect, it } from 'vitest';
import { NoDeviceError, StudioError } from '../../util/errors';
import { testDevice } from '../testing/device';
import { Device, roundUp } from './device';
import { kernel } from './kernel';

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});

describe('opening', () => {
  it('says what is missing: WebGPU, or an adapter', async () => {
    await expect(Device.open(undefined)).rejects.toMatchObject({ name: 'NoDeviceError', message: expect.stringContaining('navigator.gpu is missing'), hint: expect.stringContaining('https') });
    await expect(Device.open({ requestAdapter: async () => null } as unknown as GPU)).rejects.toThrow(NoDeviceError);
  });

  it('asks for all that the adapter has, and knows whether it computes on the processor', () => {
    expect(device.gpu.limits.maxStorageBuffersPerShaderStage).toBeGreaterThanOrEqual(8);
    expect(device.profile.workgroupBytes).toBe(device.gpu.limits.maxComputeWorkgroupStorageSize);
    expect(device.profile.id).not.toBe('');
    if (process.env.LOWRANK_BACKEND === 'swiftshader' || process.env.LOWRANK_BACKEND === 'lavapipe') expect(device.profile.software).toBe(true);
  });
});

describe('a pipeline', () => {
  const TEXT = `// y[0] = 1.
override WG: u32 = 1u;
@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(WG)
fn main() { y[0] = 1.0; }
`;
  const failure = async (name: string, text: string, overrides = {}) => (await device.pipeline(kernel(name, text, () => [1], { overrides })).then(() => null, (error: unknown) => error)) as StudioError;

  it('is compiled once a kernel and tuning', async () => {
    const before = device.pipelineCount;
    const first = device.pipeline(kernel('test/once', TEXT, () => [1]));
    expect(device.pipeline(kernel('test/once', TEXT, () => [1]))).toBe(first);
    await device.pipeline(kernel('test/once', TEXT, () => [1], { overrides: { WG: 2 } }));
    expect(device.pipelineCount - before).toBe(2);
    expect((await first).kernel.name).toBe('test/once');
  });

  it('that does not compile shows file, message and the lines around', async () => {
    const error = await failure('test/broken', TEXT.replace('1.0;', 'missing(1.0);'));
    expect(error).toBeInstanceOf(StudioError);
    expect(error.message).toMatch(/^shaders\/test\/broken\.wgsl \(includes expanded\) line 5: .*missing/);
    expect(error.message).toContain('    4 | @compute @workgroup_size(WG)\n    5 | fn main() { y[0] = missing(1.0); }');
  });

  it('counts lines with includes expanded', async () => {
    const error = await failure('test/broken_include', `// No text.\n#include "common/index.wgsl"\n${TEXT.replace('1.0;', 'missing(1.0);')}`);
    const line = Number(/line (\d+)/.exec(error.message)?.[1]);
    expect(line).toBeGreaterThan(7);
    expect(error.message).toContain(`${line} | fn main() { y[0] = missing(1.0); }`);
  });

  it('that binds otherwise than its text says, or wants too much of the device, is named', async () => {
    const unknown = await failure('test/no_override', TEXT, { SIZE: 3 });
    expect(unknown.message).toContain('SIZE');
    const huge = await failure('test/huge', TEXT, { WG: 65536 });
    expect(huge.message).toMatch(/test\/huge|65536/);
  });

  it('goes on after an error: nothing of it is left for others to find', async () => {
    device.check();
    await device.pipeline(kernel('test/sound', TEXT, () => [1]));
  });
});

describe('errors that nobody waits for', () => {
  it('are thrown by the next check, once', async () => {
    const own = await Device.open({ requestAdapter: async () => (await (await import('../../cli/node-gpu')).openNodeGpu()).gpu.requestAdapter() } as unknown as GPU);
    own.gpu.createBuffer({ size: 16, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.STORAGE });
    await own.gpu.queue.onSubmittedWorkDone();
    expect(() => own.check()).toThrow(/^WebGPU: /);
    own.check();
    own.gpu.destroy();
    await own.gpu.lost;
    // Destroyed by its owner: that is no loss.
    own.check();
  });
});

describe('buffers', () => {
  it('are counted while they are there, and come in sixteens', () => {
    const before = device.bytes;
    const buffer = device.allocate(20, 'test');
    expect([buffer.size, device.bytes - before]).toEqual([32, 32]);
    device.release(buffer);
    expect(device.bytes).toBe(before);
    expect([roundUp(0, 16), roundUp(1, 16), roundUp(16, 16), roundUp(257, 256)]).toEqual([0, 16, 16, 512]);
  });

  it('are read as they are, from an offset', async () => {
    const buffer = device.allocate(512, 'test');
    device.gpu.queue.writeBuffer(buffer, 256, Uint32Array.of(1, 2, 3, 4));
    expect([...new Uint32Array(await device.read({ buffer, offset: 256, size: 16 }))]).toEqual([1, 2, 3, 4]);
    expect([...new Uint32Array(await device.read({ buffer, offset: 0, size: 16 }))]).toEqual([0, 0, 0, 0]);
    device.release(buffer);
  });
});
