// Attaching a method to a model's sites: which sites, with which parameters; and an adapter file as a fixed attachment.
import type { Device } from '../engine/gpu/device';
import type { Network } from '../engine/nn/network';
import { initial } from '../engine/nn/init';
import { type Adapter, type Adapters, type LinearSite, type NamedWeight, type Param, type Site, makeParam, noAdapters } from '../engine/nn/site';
import { axpby, matmul, scale as scaled } from '../engine/ops';
import { copyTensor, free, upload } from '../engine/tensor/memory';
import { type Tensor, elements, sameShape, tensor } from '../engine/tensor/tensor';
import type { LoraModule, PeftAdapter, SavedWeight } from '../formats/peft';
import { CheckpointError, ConfigError, ShapeError } from '../util/errors';
import type { BoundMethod } from './contract';
import type { RunState } from './host';

export interface Attachment {
  readonly adapters: Adapters;
  /** What stands in for the weights of heads, by name. */
  readonly heads: ReadonlyMap<string, Tensor>;
  /** In the order of the model's sites, then of each adapter; then those of heads. */
  readonly params: readonly Param[];
  /** Those that have an adapter. */
  readonly sites: readonly Site[];
  /** Weights beside them that have one. */
  readonly weights: readonly NamedWeight[];
  /** What the host writes between steps, by name. Recorded hooks may add to it. */
  readonly inputs: Map<string, HostInput>;
  /** What the method makes of parameters at the head of a step, by name. */
  readonly joint: ReadonlyMap<string, Tensor>;
}

export interface HostInput {
  readonly tensor: Tensor;
  readonly start: number | Float32Array;
}

/** What a method sees of the run while it attaches. */
export interface AttachGiven {
  readonly shared?: unknown;
  readonly state?: Readonly<RunState>;
  readonly seed?: number;
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
export function attach(network: Network, { method, config }: BoundMethod, targets: string, { shared = null, state = {}, seed = 0 }: AttachGiven = {}): Attachment {
  const adapters = new Map<string, Adapter>();
  const common = new Map<string, Param>();
  const inputs = new Map<string, HostInput>();
  const joint = new Map<string, Tensor>();
  let streams = 0;
  const chosen = selectSites(network, targets);
  const context = {
    shared, state, seed, sites: chosen, stream: () => streams++,
    param(...[name, shape, init, options]: Parameters<typeof makeParam>) {
      const found = common.get(name) ?? makeParam(name, shape, init, options);
      if (!sameShape(found.tensor.shape, shape)) throw new ShapeError(`${name}: shared as [${shape.join(', ')}] and as [${found.tensor.shape.join(', ')}]`);
      common.set(name, found);
      return found;
    },
    input: (name: string, shape: readonly number[], start: number | Float32Array) => inputOf(inputs, name, shape, start),
    joint(name: string, shape: readonly number[]) {
      const made = tensor(name, shape, 'param');
      joint.set(name, made);
      return made;
    },
  };
  const sites = chosen.filter((site) => {
    const adapter = method.attach(site, config, context);
    if (adapter) adapters.set(site.name, adapter);
    return adapter !== null;
  });
  const weights = method.attachWeight ? network.weightsBeside(chosen).filter((weight) => {
    const adapter = method.attachWeight?.(weight, config, context) ?? null;
    if (adapter) adapters.set(weight.name, adapter);
    return adapter !== null;
  }) : [];
  const whole = network.trainedWhole.map((name) => headParam(network, name));
  const params = [...new Set([...adapters.values()].flatMap((adapter) => Object.values(adapter.params))), ...whole];
  return { adapters, heads: new Map(whole.map((p) => [p.name, p.tensor])), params, sites, weights, inputs, joint };
}

/** A copy of a head's weight for one run to train. A head that the checkpoint has starts as it is there, others from the run's seed. */
function headParam(network: Network, name: string): Param {
  const { tensor: own } = network.weights.get(name) as { tensor: Tensor };
  return makeParam(name, own.shape, network.created.has(name) ? network.initOf(name) : { kind: 'copy', of: own });
}

/** The input of this name, made where there is none yet. */
export function inputOf(inputs: Map<string, HostInput>, name: string, shape: readonly number[], start: number | Float32Array): Tensor {
  const found = inputs.get(name) ?? { tensor: tensor(`input ${name}`, shape, 'input'), start };
  if (!sameShape(found.tensor.shape, shape)) throw new ShapeError(`input '${name}': asked for as [${shape.join(', ')}] and as [${found.tensor.shape.join(', ')}]`);
  inputs.set(name, found);
  return found.tensor;
}

/** Writes every parameter's start, drawn from the seed, and every input's. Tensors of an arena must have been placed before. */
export function initialise(device: Device, { params, inputs }: Attachment, seed: number): void {
  for (const { tensor: t, init, name } of params) {
    if (init.kind === 'copy') copyTensor(device, init.of, t);
    else upload(device, t, initial(init, t.shape, seed, name));
  }
  for (const { tensor: t, start } of inputs.values()) writeInput(device, t, start);
}

export function writeInput(device: Device, t: Tensor, values: number | Float32Array): void {
  upload(device, t, typeof values === 'number' ? new Float32Array(elements(t)).fill(values) : values);
}

/** An adapter file attached as it is: nothing is trained. Several may be given; their updates add up. */
export function attachFiles(device: Device, network: Network, files: readonly Pick<PeftAdapter, 'modules' | 'saved'>[]): Attachment {
  if (files.length === 0) return { adapters: noAdapters, heads: new Map(), params: [], sites: [], weights: [], inputs: new Map(), joint: new Map() };
  // All is checked before anything is allocated.
  const found = files.map((file) => file.modules.map((module) => ({ module, site: siteOf(network, module) })));
  const whole = wholeOf(network, files).map(({ name, shape, data }) => {
    const param = makeParam(name, shape, { kind: 'zeros' }, { trainable: false });
    upload(device, param.tensor, data);
    return param;
  });
  const branches = new Map<string, { site: LinearSite; parts: { A: Param; B: Param; bias?: Param; scale: number }[] }>();
  found.forEach((modules, number) => {
    for (const { module, site } of modules) {
      const [out, inn] = site.shape;
      const [A, B] = [site.param(`file${number}_A`, [module.rank, inn], { kind: 'zeros' }), site.param(`file${number}_B`, [out, module.rank], { kind: 'zeros' })];
      const bias = module.bias && site.param(`file${number}_bias`, [out], { kind: 'zeros' });
      upload(device, A.tensor, module.A);
      upload(device, B.tensor, module.B);
      if (bias) upload(device, bias.tensor, module.bias as Float32Array);
      const entry = branches.get(site.name) ?? { site, parts: [] };
      entry.parts.push({ A, B, ...(bias ? { bias } : {}), scale: module.scale });
      branches.set(site.name, entry);
    }
  });
  const adapters = new Map<string, Adapter>();
  for (const [name, { site, parts }] of branches) {
    adapters.set(name, {
      params: Object.fromEntries(parts.flatMap(({ A, B, bias }, i) => [[`A${i}`, A], [`B${i}`, B], ...(bias ? [[`bias${i}`, bias] as const] : [])])),
      weight: () => parts.reduce((w, { A, B, scale }) => matmul(B.tensor, A.tensor, { alpha: scale, c: w }), site.weight),
      ...(parts.some(({ bias }) => bias) ? { bias: () => summedBias(site, parts) as Tensor } : {}),
      apply: (x) => parts.reduce((y, { A, B, scale }) => matmul(matmul(x, A.tensor, { tb: true }), B.tensor, { tb: true, alpha: scale, c: y }), site.base(x, site.weight, summedBias(site, parts))),
    });
  }
  return {
    adapters, heads: new Map(whole.map((p) => [p.name, p.tensor])), inputs: new Map(), joint: new Map(),
    params: [...[...adapters.values()].flatMap((a) => Object.values(a.params)), ...whole], sites: [...branches.values()].map((b) => b.site), weights: [],
  };
}

/** The whole modules of adapter files, checked against the model. Two files may not bring the same one. */
function wholeOf(network: Network, files: readonly Pick<PeftAdapter, 'saved'>[]): SavedWeight[] {
  const all = files.flatMap((file) => file.saved);
  const seen = new Set<string>();
  for (const { name, shape } of all) {
    const own = network.headOf(name) ? network.weights.get(name)?.tensor : undefined;
    if (!own) throw new CheckpointError(`adapter: it holds ${name} [${shape.join(', ')}], which this model does not train whole for its task`, 'Open the adapter with the task that it was trained for.');
    if (own.shape.join() !== shape.join()) throw new CheckpointError(`adapter: ${name} is [${shape.join(', ')}] in the adapter, [${own.shape.join(', ')}] in the model`, 'Are there as many classes as the adapter was trained for?');
    if (seen.has(name)) throw new CheckpointError(`adapter: ${name} stands in two of the adapters`, 'Two adapters with heads cannot be joined: open one of them.');
    seen.add(name);
  }
  return all;
}

/** b + Σ scale · bias; the layer's own bias, if any, where no file has one. */
const summedBias = (site: LinearSite, parts: readonly { bias?: Param; scale: number }[]): Tensor | undefined =>
  parts.reduce<Tensor | undefined>((sum, { bias, scale }) => (bias ? (sum ? axpby(sum, bias.tensor, 1, scale) : scaled(bias.tensor, scale)) : sum), site.bias);

/** The site that a module of a file adapts, if names and shapes agree. */
export function siteOf(network: Network, { name, out, inn }: LoraModule): LinearSite {
  const site = network.sites.get(name);
  if (!site) throw new CheckpointError(`adapter: it adapts ${name}, which this model does not have`, 'Open the base model that the adapter was trained on.');
  if (out !== site.shape[0] || inn !== site.shape[1]) {
    throw new CheckpointError(`adapter: ${name} is ${out} × ${inn} in the adapter, ${site.shape[0]} × ${site.shape[1]} in the model`, 'Open the base model that the adapter was trained on.');
  }
  return site;
}

export function detach(device: Device, attachment: Attachment): void {
  for (const { tensor: t } of [...attachment.params, ...attachment.inputs.values()]) free(device, t);
}

export const countTrainable = (params: readonly Param[]): number => params.filter((p) => p.trainable).reduce((sum, p) => sum + elements(p.tensor), 0);

