// The one device that the GPU tests of a process share. Kernel choice is fixed: without a tune store nothing is measured.
import { openNodeGpu } from '../../cli/node-gpu';
import { Device } from '../gpu/device';

let opened: Promise<Device> | undefined;

/** A Dawn device on the backend that LOWRANK_BACKEND names, the same one for every caller. */
export function testDevice(): Promise<Device> {
  opened ??= openNodeGpu().then(({ gpu }) => Device.open(gpu));
  return opened;
}
