// Several adapters on one model, each with a weight: y = base(x) + Σ w (adapted(x) − base(x)). Weight 1 is the adapter as it is,
// 0 the base, and what lies between or beyond is the straight line through both at every layer; for LoRA that is w·ΔW.
import type { Network } from '../engine/nn/network';
import type { Adapter, Adapters, LinearSite } from '../engine/nn/site';
import { axpby } from '../engine/ops/add';
import type { Tensor } from '../engine/tensor/tensor';

export interface Weighted { readonly adapters: Adapters; readonly weight: number }

export function blend({ sites }: Network, parts: readonly Weighted[]): Adapters {
  const active = parts.filter(({ weight }) => weight !== 0);
  const [only] = active;
  if (active.length === 1 && only?.weight === 1) return only.adapters;
  const blended = new Map<string, Adapter>();
  for (const site of sites.values()) {
    const here = active.flatMap(({ adapters, weight }) => {
      const adapter = adapters.get(site.name);
      return adapter ? [{ adapter, weight }] : [];
    });
    if (here.length > 0) blended.set(site.name, mixed(site, here));
  }
  return blended;
}

function mixed(site: LinearSite, parts: readonly { adapter: Adapter; weight: number }[]): Adapter {
  const rest = 1 - parts.reduce((sum, { weight }) => sum + weight, 0);
  const sum = (base: () => Tensor, of: (adapter: Adapter) => Tensor) =>
    parts.reduce((y, { adapter, weight }, i) => axpby(y, of(adapter), i === 0 ? rest : 1, weight), base());
  return {
    params: {},
    weight: () => sum(() => site.weight, (adapter) => adapter.weight()),
    apply: (x, call) => sum(() => site.base(x), (adapter) => adapter.apply?.(x, call) ?? site.base(x, adapter.weight())),
  };
}
