/** Both libraries look for WebGPU in `navigator`, which Node 20 does not have: theirs gives out this one device. */
export function giveDevice(device: GPUDevice, info: GPUAdapterInfo): void {
  const adapter = { limits: device.limits, features: device.features, info, requestDevice: async () => device };
  const gpu = { requestAdapter: async () => adapter };
  Object.defineProperty(globalThis, 'navigator', { value: { gpu, userAgent: 'node', hardwareConcurrency: 1 }, configurable: true });
}
