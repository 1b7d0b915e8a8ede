// A family: kernels that compute the same thing with the same bindings, and a rule for which of them suit a device.
import type { Profile } from '../gpu/device';
import type { Kernel, ParamValues } from '../gpu/kernel';
import type { Reflection } from '../gpu/wgsl';
import type { Trial } from './gate';
import type { DType } from './tensor';

export interface Family {
  readonly name: string;
  readonly reflection: Reflection;
  /** Bindings that read frozen weights as they are kept, and how; all others get them widened to f32. */
  readonly packed?: Readonly<Record<string, DType>>;
  /** So little work that computing it twice may cost less than keeping its result: elementwise kernels and norms. */
  readonly cheap?: boolean;
  /** The kernel that the others are measured by: plain loops, no barriers. */
  plain?(params: ParamValues): Kernel;
  /** A small piece of work on which a kernel proves itself before it may run on a device (tensor/gate.ts). */
  trial?(params: ParamValues, kernel: Kernel): Trial;
  /** Candidates for this device and these sizes, the safest guess first. More than one are measured, when there is a tuner. */
  candidates(profile: Profile, params: ParamValues): readonly Kernel[];
}

/** A family of one. */
export function single(kernel: Kernel): Family {
  return { name: kernel.name, reflection: kernel.reflection, candidates: () => [kernel] };
}

/** Row kernels (common/reduce.wgsl): one invocation a row on software adapters, where barriers are ruinous; `lanes` a row on a GPU. */
export function rowFamily(make: (lanes: number, rows: number) => Kernel, lanes = 64): Family {
  const [software, gpu] = [make(1, 4), make(lanes, 1)];
  return { name: gpu.name, reflection: gpu.reflection, cheap: true, candidates: (profile) => [profile.software ? software : gpu] };
}
