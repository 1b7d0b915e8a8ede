// What the page knows of the engine: whether it runs, on which device, and the catalogues it offers.
import type { BuiltinData, BuiltinModel, DeviceCard, Failure, Hello, MethodCard } from '../contract';

export type EngineStatus =
  | 'starting'
  | 'ready'
  /** No usable WebGPU device. */
  | 'unsupported'
  /** The device went away while the page was open. */
  | 'lost'
  /** It went away, and a new one is being asked for. */
  | 'recovering'
  /** The worker itself did not start or broke. */
  | 'crashed';

export interface Progress { task: string; done: number; total: number }

export interface EngineSlice {
  status: EngineStatus;
  device: DeviceCard | null;
  failure: Failure | null;
  methods: readonly MethodCard[];
  models: readonly BuiltinModel[];
  data: readonly BuiltinData[];
  /** The task that last reported; null when it is done. */
  progress: Progress | null;
}

export const initialEngine: EngineSlice = { status: 'starting', device: null, failure: null, methods: [], models: [], data: [], progress: null };

export function withHello(hello: Hello): EngineSlice {
  return {
    status: hello.device ? 'ready' : 'unsupported',
    device: hello.device,
    failure: hello.failure ?? null,
    methods: hello.methods,
    models: hello.models,
    data: hello.data,
    progress: null,
  };
}
