// Numbers of every step leave the GPU through a ring [length, RING_COLUMNS]: a step writes its row, the host copies the ring out now
// and then and never waits for a step.
import source from '../../../shaders/optim/ring_write.wgsl?raw';
import { StudioError } from '../../util/errors';
import type { Device } from '../gpu/device';
import { kernel } from '../gpu/kernel';
import { single } from '../tensor/family';
import { dispatch } from '../tensor/graph';
import { allocate, free, sliceOf } from '../tensor/memory';
import { type Tensor, tensor } from '../tensor/tensor';

const writeKernel = single(kernel('optim/ring_write', source, () => [1]));

export const RING_COLUMNS = 8;

export class MetricRing {
  readonly tensor: Tensor;
  /** Names of the columns in use. */
  readonly series: string[] = [];
  private staging: GPUBuffer[] = [];

  constructor(readonly length: number) {
    this.tensor = tensor('metric ring', [length, RING_COLUMNS], 'param');
  }

  allocate(device: Device): void {
    allocate(device, this.tensor);
  }

  /** Records that element `index` of `x` is this step's value of a series. */
  record(series: string, x: Tensor, index = 0): void {
    const column = this.series.push(series) - 1;
    if (column >= RING_COLUMNS) throw new StudioError(`metrics: no room for '${series}'`, `A step may report ${RING_COLUMNS} numbers.`);
    dispatch(writeKernel, { x, ring: this.tensor }, { length: this.length, columns: RING_COLUMNS, column, index });
  }

  /** Adds a copy of the ring to `encoder`; the promise made by the returned function resolves with the whole ring. */
  copy(device: Device, encoder: GPUCommandEncoder): () => Promise<Float32Array> {
    const { buffer, size } = sliceOf(device, this.tensor);
    const staging = this.staging.pop() ?? device.gpu.createBuffer({ label: 'metric staging', size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    encoder.copyBufferToBuffer(buffer, 0, staging, 0, size);
    return async () => {
      await staging.mapAsync(GPUMapMode.READ);
      const rows = new Float32Array(staging.getMappedRange().slice(0));
      staging.unmap();
      this.staging.push(staging);
      return rows;
    };
  }

  dispose(device: Device): void {
    for (const buffer of this.staging) buffer.destroy();
    free(device, this.tensor);
  }
}
