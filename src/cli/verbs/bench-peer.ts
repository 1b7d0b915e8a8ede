// What a peer must be able to do, and the work that all libraries are given: numbers on the host, nothing of any library.

export interface HostTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** One LoRA training step of a Llama layout, as every library is to write it. */
export interface LoraWork {
  readonly layers: number;
  readonly hidden: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly vocab: number;
  readonly eps: number;
  /** Rotary tables [time, headSize / 2] of positions 0 … time − 1. */
  readonly cosines: Float32Array;
  readonly sines: Float32Array;
  readonly batch: number;
  readonly seq: number;
  /** [batch · seq] */
  readonly ids: Int32Array;
  /** [batch · seq]: the token that each position predicts, and 1 where it counts, 0 where it is masked. */
  readonly targets: Int32Array;
  readonly counted: Float32Array;
  /** Frozen weights by checkpoint name; the head is the embedding table. */
  readonly weights: ReadonlyMap<string, HostTensor>;
  /** A [rank, in] and B [out, rank] of each adapted layer, by its name. */
  readonly adapters: ReadonlyMap<string, { readonly A: HostTensor; readonly B: HostTensor }>;
  readonly scale: number;
  readonly adamw: { readonly lr: number; readonly beta1: number; readonly beta2: number; readonly eps: number; readonly weightDecay: number };
}

export interface PeerStep {
  /** Loss, and gradient of each adapter tensor ('layer.A', 'layer.B'), at the parameters as they are; nothing is updated. */
  gradients(): Promise<{ loss: number; gradients: ReadonlyMap<string, Float32Array> }>;
  /** One step, submitted to the device in full. The first call compiles what a first call compiles. */
  step(): Promise<void>;
  /** The last step's loss, as it was before its update. */
  loss(): Promise<number>;
}

export interface PeerProduct {
  /** a · b so many times in a row, submitted in full; the results are dropped. */
  run(times: number): Promise<void>;
  /** The numbers of a · b. */
  read(): Promise<Float32Array>;
  dispose(): void;
}

export interface PeerSession {
  loraStep(work: LoraWork): Promise<PeerStep>;
  /** a [m, k] · b [k, n]; with `tb` b is stored as [n, k]. */
  product(a: HostTensor, b: HostTensor, tb: boolean): Promise<PeerProduct>;
}

export interface Peer {
  readonly name: string;
  readonly version: string;
  /** Makes the library work on this very device. */
  open(device: GPUDevice, info: GPUAdapterInfo): Promise<PeerSession>;
}
