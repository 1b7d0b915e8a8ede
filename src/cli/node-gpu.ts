// Opens WebGPU in Node through Dawn (the `webgpu` package) on a real GPU, on Mesa's lavapipe or on SwiftShader.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import { ConfigError, NoDeviceError } from '../util/errors';

export const BACKENDS = ['auto', 'gpu', 'lavapipe', 'swiftshader'] as const;
export type Backend = (typeof BACKENDS)[number];
/** What an adapter turned out to be; 'software' is any other one that computes on the CPU, such as Windows' WARP. */
export type OpenBackend = Exclude<Backend, 'auto'> | 'software';

export interface NodeGpu {
  gpu: GPU;
  backend: OpenBackend;
  /** The device and its driver, for people. */
  description: string;
}

// f16 storage on NVIDIA needs the Vulkan memory model; subgroup matrices and timestamps need the unsafe set. Dawn rounds timestamps to
// 65 µs unless told otherwise, which no kernel of a small model outlasts.
const DAWN_FLAGS = ['enable-dawn-features=allow_unsafe_apis,use_vulkan_memory_model,vulkan_enable_f16_on_nvidia', 'disable-dawn-features=timestamp_quantization'];

const DRIVER_VARIABLES = ['VK_DRIVER_FILES', 'VK_ICD_FILENAMES'] as const;
const DRIVER_FOLDERS = ['/usr/share/vulkan/icd.d', '/usr/local/share/vulkan/icd.d', '/etc/vulkan/icd.d'];
const GPU_NODES = ['/dev/nvidiactl', '/dev/dxg', '/dev/kfd'];

/** Driver manifests to try for one backend; `null` leaves the choice to the Vulkan loader. */
type Drivers = string | null;

/**
 * What must outlive its JavaScript references. Dawn crashes or hangs the process when its GPU object is collected
 * while a promise of one of its devices is pending (seen with both software drivers), so it is held until exit.
 * On globalThis, because a test runner may load this module more than once in a process.
 */
interface Held {
  opened: Map<Backend, Promise<NodeGpu>>;
  instances: GPU[];
  devices: Set<WeakRef<GPUDevice>>;
}
const holder = globalThis as { __lowrankNodeGpu?: Held };
holder.__lowrankNodeGpu ??= { opened: new Map(), instances: [], devices: new Set() };
const held: Held = holder.__lowrankNodeGpu;

/**
 * Opens WebGPU. 'auto' takes a real GPU, then lavapipe where Dawn accepts it, then SwiftShader; the environment
 * variable LOWRANK_BACKEND replaces 'auto'. The same backend asked for twice is the same GPU object.
 */
export async function openNodeGpu(backend: Backend = 'auto'): Promise<NodeGpu> {
  const wanted = backend === 'auto' ? ((process.env.LOWRANK_BACKEND as Backend) || 'auto') : backend;
  // Both come from outside: a flag or the environment.
  if (!BACKENDS.includes(wanted)) throw new ConfigError(`node-gpu: not a backend: '${wanted}'`, `Choose one of ${BACKENDS.join(', ')}.`);
  let opened = held.opened.get(wanted);
  if (!opened) {
    opened = open(wanted);
    held.opened.set(wanted, opened);
    opened.catch(() => held.opened.delete(wanted));
  }
  return opened;
}

/**
 * Ends WebGPU: destroys every device that is still there, so that what waits for one settles. The process then ends
 * by itself; the Dawn instance stays until it does. Await your own mapAsync calls first: a destroyed device rejects them.
 */
export async function closeNodeGpu(): Promise<void> {
  const lost: Promise<unknown>[] = [];
  for (const reference of held.devices) {
    const device = reference.deref();
    if (!device) continue;
    lost.push(device.lost);
    device.destroy();
  }
  held.devices.clear();
  held.opened.clear();
  await Promise.all(lost);
}

async function open(wanted: Backend): Promise<NodeGpu> {
  process.env.XDG_RUNTIME_DIR ??= tmpdir(); // Mesa and the Vulkan loader complain without one
  const tried: string[] = [];
  for (const [name, drivers] of attempts(wanted)) {
    const found = await attempt(drivers, tried);
    if (!found) continue;
    if (wanted === 'auto' || found.backend === wanted) return found;
    tried.push(`${name}: found ${found.backend} instead (${found.description})`);
  }
  throw noDevice(wanted, tried);
}

/** The drivers to try, in order. The loader reads its environment anew for each Dawn instance, so one process can try several. */
function attempts(wanted: Backend): [name: string, drivers: Drivers][] {
  const list: [string, Drivers][] = [];
  const chosenByUser = DRIVER_VARIABLES.some((name) => process.env[name]);
  // Loading every installed driver costs 0.3 s, so it is skipped where no GPU can be behind it.
  if (wanted === 'gpu' || (wanted === 'auto' && (chosenByUser || mayHaveGpu()))) list.push(['gpu', null]);
  if (wanted === 'auto' || wanted === 'lavapipe') {
    for (const file of lavapipeManifests(wanted === 'auto')) list.push(['lavapipe', file]);
  }
  if (wanted === 'auto' || wanted === 'swiftshader') {
    for (const file of swiftshaderManifests()) list.push(['swiftshader', file]);
  }
  return list;
}

async function attempt(drivers: Drivers, tried: string[]): Promise<NodeGpu | null> {
  const before = DRIVER_VARIABLES.map((name) => process.env[name]);
  if (drivers !== null) for (const name of DRIVER_VARIABLES) process.env[name] = drivers;
  try {
    const gpu = await createInstance();
    const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
    if (adapter) return { gpu, backend: backendOf(adapter), description: describe(adapter.info) };
    tried.push(`${drivers ?? 'the installed drivers'}: no adapter that Dawn accepts`);
  } catch (error) {
    tried.push(`${drivers ?? 'the installed drivers'}: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`);
  } finally {
    for (const [i, name] of DRIVER_VARIABLES.entries()) restore(name, before[i]);
  }
  return null;
}

function restore(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name];
  else process.env[name] = value;
}

async function createInstance(): Promise<GPU> {
  const { create, globals } = await import('webgpu');
  Object.assign(globalThis, globals);
  const gpu = create(DAWN_FLAGS);
  held.instances.push(gpu);
  rememberDevices(gpu);
  return gpu;
}

/** Notes each device made through this GPU, weakly, so that closeNodeGpu can destroy them. */
function rememberDevices(gpu: GPU): void {
  const requestAdapter = gpu.requestAdapter.bind(gpu);
  gpu.requestAdapter = async (options) => {
    const adapter = await requestAdapter(options);
    if (!adapter) return null;
    const requestDevice = adapter.requestDevice.bind(adapter);
    adapter.requestDevice = async (descriptor) => {
      const device = await requestDevice(descriptor);
      held.devices.add(new WeakRef(device));
      return device;
    };
    return adapter;
  };
}

function backendOf(adapter: GPUAdapter): OpenBackend {
  const { architecture, device, description, isFallbackAdapter } = adapter.info;
  if (/swiftshader/i.test(`${architecture} ${device} ${description}`)) return 'swiftshader';
  if (/llvmpipe|lavapipe/i.test(`${device} ${description}`)) return 'lavapipe';
  return isFallbackAdapter ? 'software' : 'gpu';
}

/** On a real GPU `device` names the card and `description` the driver; software drivers say it all in `description`. */
function describe({ vendor, device, description, isFallbackAdapter }: GPUAdapterInfo): string {
  if (isFallbackAdapter && description) return description;
  return [device || vendor || 'unnamed adapter', description && `(${description})`].filter(Boolean).join(' ');
}

function mayHaveGpu(): boolean {
  if (process.platform !== 'linux') return true;
  return GPU_NODES.some(existsSync) || list('/dev/dri').some((name) => name.startsWith('renderD'));
}

/** `recentOnly` leaves out Mesa before 25, which Dawn rejects with a page of warnings; those manifests state Vulkan 1.3. */
function lavapipeManifests(recentOnly: boolean): string[] {
  const files = DRIVER_FOLDERS.flatMap((folder) =>
    list(folder)
      .filter((name) => /^lvp_icd.*\.json$/.test(name))
      .map((name) => join(folder, name)),
  );
  return recentOnly ? files.filter((file) => vulkanVersion(file) >= 1.4) : files;
}

/** The manifest's Vulkan version as a number: '1.4.305' is 1.4; 0 where it cannot be read. */
function vulkanVersion(file: string): number {
  try {
    const manifest = JSON.parse(readFileSync(file, 'utf8')) as { ICD?: { api_version?: string } };
    return Number.parseFloat(manifest.ICD?.api_version ?? '0');
  } catch {
    return 0; // an unreadable manifest is a driver that is not there
  }
}

/** SwiftShader comes inside Chromium and Chrome, in whichever way they were installed. */
function swiftshaderManifests(): string[] {
  const folders = ['/usr/lib/chromium', '/usr/lib64/chromium-browser', '/usr/lib/chromium-browser', '/opt/google/chrome'];
  const playwright = process.env.PLAYWRIGHT_BROWSERS_PATH || join(homedir(), '.cache', 'ms-playwright');
  for (const browser of list(playwright)) {
    for (const platform of list(join(playwright, browser))) folders.push(join(playwright, browser, platform));
  }
  return folders.map((folder) => join(folder, 'vk_swiftshader_icd.json')).filter(existsSync);
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // a folder that is not there holds nothing
  }
}

function noDevice(wanted: Backend, tried: string[]): NoDeviceError {
  const what = wanted === 'auto' ? 'no WebGPU adapter' : `no WebGPU adapter on '${wanted}'`;
  const got = tried.length > 0 ? tried.join('; ') : 'no driver of that kind is installed';
  return new NoDeviceError(`node-gpu: ${what}: ${got}`, hintFor(wanted));
}

function hintFor(wanted: Backend): string {
  if (!isMainThread) return 'Open the GPU on the main thread: a worker thread cannot choose the Vulkan driver.';
  if (process.platform === 'darwin') return 'Dawn uses Metal here: update macOS, or ask for --adapter-backend auto.';
  if (process.platform === 'win32') return 'Dawn uses Direct3D 12 here: update the graphics driver, or ask for --adapter-backend auto.';
  const steps = {
    gpu: 'For a GPU: install its Vulkan driver (NVIDIA: nvidia-driver; AMD and Intel: mesa-vulkan-drivers) and libvulkan1.',
    lavapipe: "For lavapipe: 'apt-get install libvulkan1 mesa-vulkan-drivers' with Mesa 25 or newer (Debian 12: from bookworm-backports).",
    swiftshader: "For SwiftShader: 'apt-get install chromium libvulkan1' on Debian; elsewhere 'npx playwright install chromium' and libvulkan1.",
  };
  return wanted === 'auto' ? `${steps.swiftshader} ${steps.gpu}` : steps[wanted];
}
