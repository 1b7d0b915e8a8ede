import { afterEach, expect, test, vi } from 'vitest';
import { ConfigError, NoDeviceError } from '../util/errors';
import { closeNodeGpu, openNodeGpu } from './node-gpu';

afterEach(() => vi.unstubAllEnvs());

const DOUBLE = `
  @group(0) @binding(0) var<storage, read_write> x: array<f32>;
  @compute @workgroup_size(4) fn main(@builtin(global_invocation_id) at: vec3u) { x[at.x] = 2.0 * x[at.x]; }`;

/** Doubles four numbers on the device. */
async function double(device: GPUDevice): Promise<number[]> {
  const buffer = device.createBuffer({ size: 16, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST });
  const staging = device.createBuffer({ size: 16, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  device.queue.writeBuffer(buffer, 0, new Float32Array([1, 2, 3, 4]));
  const module = device.createShaderModule({ code: DOUBLE });
  const pipeline = await device.createComputePipelineAsync({ layout: 'auto', compute: { module, entryPoint: 'main' } });
  const group = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries: [{ binding: 0, resource: { buffer } }] });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  pass.dispatchWorkgroups(1);
  pass.end();
  encoder.copyBufferToBuffer(buffer, 0, staging, 0, 16);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  return [...new Float32Array(staging.getMappedRange())];
}

test('opens a device that computes, and closing destroys it', async () => {
  const { gpu, backend, description } = await openNodeGpu();
  expect(['gpu', 'lavapipe', 'swiftshader', 'software']).toContain(backend);
  expect(description).not.toBe('');
  const adapter = await gpu.requestAdapter();
  const device = await adapter!.requestDevice();
  expect(await double(device)).toEqual([2, 4, 6, 8]);
  await closeNodeGpu();
  expect((await device.lost).reason).toBe('destroyed');
});

test('asking twice is the same GPU, and the driver environment is left as it was', async () => {
  const before = process.env.VK_DRIVER_FILES;
  const first = await openNodeGpu();
  expect(await openNodeGpu()).toBe(first);
  expect(process.env.VK_DRIVER_FILES).toBe(before);
});

test('LOWRANK_BACKEND replaces auto', async () => {
  const { backend } = await openNodeGpu();
  vi.stubEnv('LOWRANK_BACKEND', backend);
  expect((await openNodeGpu('auto')).backend).toBe(backend);
  vi.stubEnv('LOWRANK_BACKEND', 'abacus');
  await expect(openNodeGpu()).rejects.toBeInstanceOf(ConfigError);
});

test.skipIf(process.platform !== 'linux')('a driver that is not there is an error with the steps that mend it', async () => {
  // Drivers named by the user win; a file that does not exist leaves no adapter at all.
  vi.stubEnv('VK_DRIVER_FILES', '/nonexistent/icd.json');
  vi.stubEnv('VK_ICD_FILENAMES', '/nonexistent/icd.json');
  const failure = await openNodeGpu('gpu').catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(NoDeviceError);
  expect((failure as NoDeviceError).hint).toContain('libvulkan1');
});
