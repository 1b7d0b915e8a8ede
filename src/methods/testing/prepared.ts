// A method's preparation on gradients that a test makes up, without a run around it.
import type { Device } from '../../engine/gpu/device';
import type { LinearSite } from '../../engine/nn/site';
import { readF32 } from '../../engine/tensor/memory';
import type { Preparation } from '../../training/host';
import { randomOf } from '../../training/prepare';

export interface MadeUp {
  readonly device: Device;
  readonly sites: readonly LinearSite[];
  /** G [out, in] over the first `batches`. */
  readonly gradientOf?: (site: LinearSite, batches: number) => Float32Array;
  readonly progress?: (done: number, total: number) => Promise<void>;
  readonly seed?: number;
}

/** `open`: how many streams of gradients were asked for and not ended. */
export function preparation({ device, sites, gradientOf, progress = async () => {}, seed = 7 }: MadeUp): Preparation & { open: number } {
  const host = {
    device, sites, state: {}, random: randomOf(seed), open: 0, progress,
    weight: (site: LinearSite) => readF32(device, site.weight),
    async *gradients({ batches, sites: some = sites }: { batches: number; sites?: readonly LinearSite[] }) {
      host.open++;
      try {
        for (const site of some) yield { site, gradient: gradientOf?.(site, batches) as Float32Array };
      } finally {
        host.open--;
      }
    },
  };
  return host;
}
