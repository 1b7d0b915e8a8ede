// Attaching a method to a model's sites: which sites, with which parameters; and an adapter file as a fixed attachment.
import type { Device } from '../engine/gpu/device';
import type { Network } from '../engine/nn/network';
import { initial } from '../engine/nn/init';
import { type Adapter, type Adapters, type LinearSite, type Param, type Site, noAdapters } from '../engine/nn/site';
import { matmul } from '../engine/ops';
import { free, upload } from '../engine/tensor/memory';
import { elements } from '../engine/tensor/tensor';
import type { LoraModule, PeftAdapter } from '../formats/peft';
import { CheckpointError, ConfigError } from '../util/errors';
import type { BoundMethod } from './contract';

export interface Attachment {
  readonly adapters: Adapters;
  /** In the order of the model's sites, then of each adapter. */
  readonly params: readonly Param[];
  readonly sites: readonly Site[];
}

/** The sites that `targets` selects: a regular expression that may match anywhere in the name; '' = every linear layer of the blocks. */
export function selectSites(network: Network, targets: string): Site[] {
  const all = [...network.sites.values()];
  let chosen = all.filter((site) => site.depth >= 0);
  if (targets !== '') {
    let pattern: RegExp;
    try {
      pattern = new RegExp(targets);
    } catch (error) {
      throw new ConfigError(`targets: not a regular expression: ${(error as Error).message}`, 'An example: q_proj|v_proj');
    }
    chosen = all.filter((site) => pattern.test(site.name));
  }
  if (chosen.length === 0) {
    throw new ConfigError(`targets: '${targets}' matches none of the model's ${all.length} layers`, `The layers end in: ${[...new Set(all.map((s) => s.module))].join(', ')}.`);
  }
  return chosen;
}

/** Makes the parameters and adapters; allocates nothing. */
export function attach(network: Network, { method, config }: BoundMethod, targets: string): Attachment {
  const adapters = new Map<string, Adapter>();
  let streams = 0;
  const sites = selectSites(network, targets).filter((site) => {
    const adapter = method.attach(site, config, { stream: () => streams++ });
    if (adapter) adapters.set(site.name, adapter);
    return adapter !== null;
  });
  const params = [...new Set([...adapters.values()].flatMap((adapter) => Object.values(adapter.params)))];
  return { adapters, params, sites };
}

/** Writes every parameter's start, drawn from the seed. Tensors of an arena must have been placed before. */
export function initialise(device: Device, params: readonly Param[], seed: number): void {
  for (const { tensor: t, init, name } of params) upload(device, t, initial(init, t.shape, seed, name));
}

/** An adapter file attached as it is: nothing is trained. Several may be given; their updates add up. */
export function attachFiles(device: Device, network: Network, files: readonly PeftAdapter[]): Attachment {
  if (files.length === 0) return { adapters: noAdapters, params: [], sites: [] };
  // All is checked before anything is allocated.
  const found = files.map((file) => file.modules.map((module) => ({ module, site: siteOf(network, module) })));
  const branches = new Map<string, { site: LinearSite; parts: { A: Param; B: Param; scale: number }[] }>();
  found.forEach((modules, number) => {
    for (const { module, site } of modules) {
      const [out, inn] = site.shape;
      const [A, B] = [site.param(`file${number}_A`, [module.rank, inn], { kind: 'zeros' }), site.param(`file${number}_B`, [out, module.rank], { kind: 'zeros' })];
      upload(device, A.tensor, module.A);
      upload(device, B.tensor, module.B);
      const entry = branches.get(site.name) ?? { site, parts: [] };
      entry.parts.push({ A, B, scale: module.scale });
      branches.set(site.name, entry);
    }
  });
  const adapters = new Map<string, Adapter>();
  for (const [name, { site, parts }] of branches) {
    adapters.set(name, {
      params: Object.fromEntries(parts.flatMap(({ A, B }, i) => [[`A${i}`, A], [`B${i}`, B]])),
      weight: () => parts.reduce((w, { A, B, scale }) => matmul(B.tensor, A.tensor, { alpha: scale, c: w }), site.weight),
      apply: (x) => parts.reduce((y, { A, B, scale }) => matmul(matmul(x, A.tensor, { tb: true }), B.tensor, { tb: true, alpha: scale, c: y }), site.base(x)),
    });
  }
  return { adapters, params: [...adapters.values()].flatMap((a) => Object.values(a.params)), sites: [...branches.values()].map((b) => b.site) };
}

function siteOf(network: Network, { name, out, inn }: LoraModule): LinearSite {
  const site = network.sites.get(name);
  if (!site) throw new CheckpointError(`adapter: it adapts ${name}, which this model does not have`, 'Open the base model that the adapter was trained on.');
  if (out !== site.shape[0] || inn !== site.shape[1]) {
    throw new CheckpointError(`adapter: ${name} is ${out} × ${inn} in the adapter, ${site.shape[0]} × ${site.shape[1]} in the model`, 'Open the base model that the adapter was trained on.');
  }
  return site;
}

export function detach(device: Device, attachment: Attachment): void {
  for (const { tensor: t } of attachment.params) free(device, t);
}

export const countTrainable = (params: readonly Param[]): number => params.filter((p) => p.trainable).reduce((sum, p) => sum + elements(p.tensor), 0);

