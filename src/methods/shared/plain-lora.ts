// LoRA at one site, and the fields that it is set by: what LoRA, LoRA+ and rsLoRA have in common.
import type { Adapter, LinearSite } from '../../engine/nn/site';
import type { AttachContext } from '../../training/contract';
import { branchApply, branchWeight } from './low-rank';

export interface PlainLora {
  readonly rank: number;
  /** ΔW = scale · B A */
  readonly scale: number;
  readonly dropout: number;
  /** Optimiser group of B. */
  readonly groupOfB?: string;
}

/** A [rank, in] drawn as torch draws a linear layer, B [out, rank] = 0. */
export function plainLora(site: LinearSite, { rank, scale, dropout, groupOfB = 'default' }: PlainLora, context: AttachContext): Adapter {
  const [out, inn] = site.shape;
  const A = site.param('lora_A', [rank, inn], { kind: 'kaimingUniform', fanIn: inn });
  const B = site.param('lora_B', [out, rank], { kind: 'zeros' }, { group: groupOfB });
  const branch = { A, B, scale, dropout, stream: context.stream(site.name) };
  return {
    params: { A, B },
    weight: () => branchWeight(site, branch),
    apply: (x, call) => branchApply(site, x, call, branch),
    lora: (values) => ({ rank, scale, A: values.A as Float32Array, B: values.B as Float32Array }),
  };
}
