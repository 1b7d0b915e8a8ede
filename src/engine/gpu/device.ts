// One GPU device: its limits and features, buffers with an account of their bytes, pipelines compiled once a kernel.
import { DeviceLimitError, DeviceLostError, NoDeviceError, StudioError } from '../../util/errors';
import type { Kernel } from './kernel';

/** What kernel choice depends on. */
export interface Profile {
  /** The adapter computes on the CPU. */
  readonly software: boolean;
  /** vendor, architecture and driver as one string: the key under which measurements are kept. */
  readonly id: string;
  /** Workgroup memory that a kernel may use. */
  readonly workgroupBytes: number;
  /** Invocations that a workgroup may have. */
  readonly invocations: number;
  /** f16 matrix units with f32 sums, in fragments of 16 × 16 for subgroups of 32. */
  readonly matrices: boolean;
}

export interface Slice {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  /** Bytes, a multiple of 16. */
  readonly size: number;
}

/** Where measured kernel choices are kept between runs. */
export interface TuneStore {
  get(key: string): string | undefined;
  set(key: string, value: string): void;
}

const WANTED_LIMITS = [
  'maxBufferSize', 'maxStorageBufferBindingSize', 'maxStorageBuffersPerShaderStage', 'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup', 'maxComputeWorkgroupSizeX', 'maxComputeWorkgroupSizeY', 'maxComputeWorkgroupsPerDimension',
] as const;
const MATRICES = 'chromium-experimental-subgroup-matrix';
const WANTED_FEATURES: readonly string[] = ['timestamp-query', 'shader-f16', 'subgroups', MATRICES];

/** One of the shapes of matrix that a device with the experimental feature lists; not in the types of WebGPU yet. */
interface MatrixConfig { M: number; N: number; K: number; componentType: string; resultComponentType: string }
function hasMatrices(gpu: GPUDevice, info: GPUAdapterInfo): boolean {
  if (!gpu.features.has(MATRICES) || !gpu.features.has('shader-f16') || info.subgroupMinSize !== 32 || info.subgroupMaxSize !== 32) return false;
  const configs = (info as { subgroupMatrixConfigs?: Iterable<MatrixConfig> }).subgroupMatrixConfigs ?? [];
  return [...configs].some((c) => c.M === 16 && c.N === 16 && c.K === 16 && c.componentType === 'f16' && c.resultComponentType === 'f32');
}

/** A kernel that was chosen where there was a choice, and on what ground. */
export interface KernelChoice {
  readonly family: string;
  readonly sizes: string;
  readonly kernel: string;
  /** Timed now, taken from earlier measurements, or without a rival. */
  readonly reason: 'measured' | 'kept' | 'only';
  readonly times: { kernel: string; ms: number }[];
}

export const roundUp = (bytes: number, to: number) => Math.ceil(bytes / to) * to;

export class Device {
  readonly profile: Profile;
  readonly slices = new Map<number, Slice>();
  bytes = 0;
  peakBytes = 0;
  lostMessage: string | null = null;
  tuneStore: TuneStore | null = null;
  /** Outcomes of kernels' trials on this device (tensor/gate.ts), by what was tried. */
  readonly gates = new Map<string, Promise<string>>();
  /** Kernels that failed theirs, and how. */
  readonly switchedOff = new Map<string, string>();
  readonly choices = new Map<string, KernelChoice>();
  readonly groupLayouts: { readonly params: GPUBindGroupLayout; readonly step: GPUBindGroupLayout };
  private readonly pipelines = new Map<string, Promise<Pipeline>>();
  private readonly errors: string[] = [];

  private constructor(readonly gpu: GPUDevice, readonly info: GPUAdapterInfo) {
    const software = info.isFallbackAdapter || /swiftshader|llvmpipe|lavapipe|software|basic render/i.test(`${info.vendor} ${info.architecture} ${info.device} ${info.description}`);
    this.profile = { software, id: [info.vendor, info.architecture, info.device, info.description].filter(Boolean).join(' '), workgroupBytes: gpu.limits.maxComputeWorkgroupStorageSize, invocations: gpu.limits.maxComputeInvocationsPerWorkgroup, matrices: hasMatrices(gpu, info) };
    const uniform = () => gpu.createBindGroupLayout({ entries: [{ binding: 0, visibility: GPUShaderStage.COMPUTE, buffer: { type: 'uniform' } }] });
    this.groupLayouts = { params: uniform(), step: uniform() };
    void gpu.lost.then((lost) => {
      if (lost.reason !== 'destroyed') this.lostMessage = lost.message || String(lost.reason);
    });
    gpu.addEventListener('uncapturederror', (event) => {
      this.errors.push((event as GPUUncapturedErrorEvent).error.message);
    });
  }

  /** The best adapter of `gpu`, with the limits and features the engine can use. Throws NoDeviceError. */
  static async open(gpu: GPU | undefined): Promise<Device> {
    if (!gpu) throw new NoDeviceError('this browser has no WebGPU: navigator.gpu is missing', 'Use a browser with WebGPU, over https or on localhost.');
    const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
    if (!adapter) throw new NoDeviceError('WebGPU is there, but no adapter: requestAdapter gave null', 'Turn on hardware acceleration, or software WebGPU by its flags.');
    const requiredLimits: Record<string, number> = {};
    for (const name of WANTED_LIMITS) requiredLimits[name] = adapter.limits[name];
    const requiredFeatures = WANTED_FEATURES.filter((feature) => adapter.features.has(feature)) as GPUFeatureName[];
    return new Device(await adapter.requestDevice({ requiredLimits, requiredFeatures }), adapter.info);
  }

  /** Throws what went wrong since the last call: a lost device or a validation error that nothing caught. */
  check(): void {
    if (this.lostMessage !== null) throw new DeviceLostError(`the GPU device was lost: ${this.lostMessage}`, 'Reload; the run goes on from its last checkpoint.');
    const first = this.errors.shift();
    if (first) throw new StudioError(`WebGPU: ${first}`);
  }

  /** Bytes that one storage buffer may have and still be bound whole. */
  get largestBuffer(): number {
    return Math.min(this.gpu.limits.maxBufferSize, this.gpu.limits.maxStorageBufferBindingSize);
  }

  /** A storage buffer of at least `bytes`, counted in `bytes` and `peakBytes`. */
  allocate(bytes: number, label: string): GPUBuffer {
    const size = roundUp(Math.max(bytes, 16), 16);
    const most = this.largestBuffer;
    if (size > most) throw new DeviceLimitError(`${label}: needs ${size} bytes in one buffer, this device allows ${most}`, 'Lower the batch or the sequence length.');
    const buffer = this.gpu.createBuffer({ label, size, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST });
    this.bytes += size;
    this.peakBytes = Math.max(this.peakBytes, this.bytes);
    return buffer;
  }

  release(buffer: GPUBuffer): void {
    this.bytes -= buffer.size;
    buffer.destroy();
  }

  /** Bytes of a buffer, waiting until the GPU has written them. */
  async read({ buffer, offset, size }: Slice): Promise<ArrayBuffer> {
    const staging = this.gpu.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    const encoder = this.gpu.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, offset, staging, 0, size);
    this.gpu.queue.submit([encoder.finish()]);
    try {
      await staging.mapAsync(GPUMapMode.READ);
    } catch (error) {
      this.check();
      throw error;
    }
    this.check();
    const copy = staging.getMappedRange().slice(0);
    staging.destroy();
    return copy;
  }

  /** Waits until everything submitted so far is done. */
  async idle(): Promise<void> {
    await this.gpu.queue.onSubmittedWorkDone();
    this.check();
  }

  pipeline(kernel: Kernel): Promise<Pipeline> {
    let found = this.pipelines.get(kernel.key);
    if (!found) {
      found = this.compile(kernel);
      this.pipelines.set(kernel.key, found);
    }
    return found;
  }

  get pipelineCount(): number {
    return this.pipelines.size;
  }

  private async compile(kernel: Kernel): Promise<Pipeline> {
    const { gpu } = this;
    const tensors = gpu.createBindGroupLayout({
      label: kernel.key,
      entries: kernel.reflection.bindings.map(({ slot, access }) => ({
        binding: slot, visibility: GPUShaderStage.COMPUTE, buffer: { type: access === 'read' ? 'read-only-storage' : 'storage' },
      })),
    });
    const layout = gpu.createPipelineLayout({ bindGroupLayouts: [tensors, this.groupLayouts.params, this.groupLayouts.step] });
    gpu.pushErrorScope('validation');
    const module = gpu.createShaderModule({ label: kernel.name, code: kernel.source });
    const compiled = gpu.createComputePipelineAsync({ label: kernel.key, layout, compute: { module, entryPoint: 'main', constants: { ...kernel.tuning.overrides } } });
    compiled.catch(() => {});
    const scoped = await gpu.popErrorScope();
    const messages = (await module.getCompilationInfo()).messages.filter((m) => m.type === 'error');
    if (messages.length > 0) throw new StudioError(messages.map((m) => explain(kernel, m.lineNum, m.message)).join('\n'));
    if (scoped) throw new StudioError(`${kernel.key}: ${scoped.message}`);
    return { kernel, tensors, pipeline: await compiled };
  }
}

export interface Pipeline {
  readonly kernel: Kernel;
  readonly tensors: GPUBindGroupLayout;
  readonly pipeline: GPUComputePipeline;
}

/** A shader error with the five lines around it. */
function explain(kernel: Kernel, line: number, message: string): string {
  const lines = kernel.source.split('\n');
  const shown = lines.slice(Math.max(0, line - 3), line + 2).map((text, i) => `${String(Math.max(1, line - 2) + i).padStart(5)} | ${text}`);
  return `shaders/${kernel.name}.wgsl (includes expanded) line ${line}: ${message}\n${shown.join('\n')}`;
}
