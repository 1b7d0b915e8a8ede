// The same LoRA step, and the same matrix products, in other libraries on the same device, turn by turn: ours, theirs, ours …
// A peer is timed only once its loss, its gradients and its next losses agree with ours.
import { existsSync } from 'node:fs';
import { pathToFileURL, fileURLToPath } from 'node:url';
import { drawn } from '../../engine/nn/init';
import type { Device } from '../../engine/gpu/device';
import { matmul, tablesOf } from '../../engine/ops';
import { RING_COLUMNS } from '../../engine/optim/ring';
import { Graph } from '../../engine/tensor/graph';
import { free, readF32, upload } from '../../engine/tensor/memory';
import { compile } from '../../engine/tensor/step';
import { type Tensor, tensor } from '../../engine/tensor/tensor';
import { noise } from '../../engine/testing/noise';
import { sampledError, shareOff } from '../../engine/testing/product';
import type { LlamaConfig } from '../../models/llama';
import { defaultTraining } from '../../training/config';
import { UsageError } from '../options';
import type { Output } from '../output';
import type { HostTensor, LoraWork, Peer, PeerSession, PeerStep } from './bench-peer';
import { type PreparedStep, type StepSpec, idsOf, median, prepareStep, randomWeight } from './bench-step';

/** Of a loss and of the largest entry of a gradient: f32 in another order differs by 1e-5 or so, a wrong step by 1e-1. */
const AGREE = 1e-3;
/** Losses that are compared before anything is timed: the first step's, and those that follow from its update. */
const COMPARED_STEPS = 3;
const LR = 1e-3;

type Product = readonly [m: number, n: number, k: number, tb: boolean];

export async function benchPeers(device: Device, spec: StepSpec, runs: number, filter: string, output: Output): Promise<void> {
  const peers = await loadPeers();
  const work = `lora-step ${spec.shape} b${spec.batch} t${spec.seq}`;
  const products: readonly Product[] = device.profile.software ? [[512, 512, 512, false], [512, 384, 144, true]] : [[4096, 4096, 4096, false], [2048, 1536, 576, true]];
  for (const peer of peers) {
    const wants = (name: string) => `${peer.name} ${name}`.includes(filter);
    const names = products.map(([m, n, k, tb]) => `matmul ${m}×${n}×${k} N${tb ? 'T' : 'N'}`);
    if (![work, ...names].some(wants)) continue;
    let session: PeerSession;
    try {
      session = await peer.open(device.gpu, device.info);
    } catch (error) {
      absent(output, peer, 'all', error);
      continue;
    }
    for (const [i, product] of products.entries()) if (wants(names[i] as string)) await attempt(output, peer, names[i] as string, () => compareProduct(device, session, product, runs));
    if (wants(work)) await attempt(output, peer, work, () => compareStep(device, session, spec, runs, output));
  }
}

/** The bundle beside this file, or what to do to have one. */
async function loadPeers(): Promise<readonly Peer[]> {
  const path = fileURLToPath(new URL('peers.mjs', import.meta.url));
  if (!existsSync(path)) throw new UsageError(`bench peers: ${path} is missing; 'node scripts/build-cli.mjs --peers' builds it`);
  return ((await import(/* @vite-ignore */ pathToFileURL(path).href)) as { peers: readonly Peer[] }).peers;
}

interface Compared {
  readonly theirs: readonly number[];
  readonly ours: readonly number[];
  /** Anything else that is worth a field. */
  readonly more: Readonly<Record<string, number>>;
}

/** Runs one comparison; what a library cannot do is reported in its own words, not estimated. */
async function attempt(output: Output, peer: Peer, work: string, compare: () => Promise<Compared>): Promise<void> {
  output.progress(`${peer.name}: ${work}`);
  try {
    const { theirs, ours, more } = await compare();
    const [ms, oursMs] = [median(theirs), median(ours)];
    output.event(
      { event: 'peer', name: peer.name, version: peer.version, work, ms, ours_ms: oursMs, ratio: ms / oursMs, ms_min: Math.min(...theirs), ours_ms_min: Math.min(...ours), runs: theirs.length, ...more },
      `${peer.name} ${peer.version}  ${work}: ${ms.toFixed(2)} ms, ours ${oursMs.toFixed(2)} ms, ratio ${(ms / oursMs).toFixed(2)}${more.first_ms === undefined ? '' : ` (first call ${more.first_ms.toFixed(0)} ms, ours ${more.ours_first_ms?.toFixed(0)} ms)`}`,
    );
  } catch (error) {
    absent(output, peer, work, error);
  }
}

function absent(output: Output, peer: Peer, work: string, error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  output.event({ event: 'peer', name: peer.name, version: peer.version, work, absent: message }, `${peer.name} ${peer.version}  ${work}: absent: ${message}`);
}

/** Times `first` and `second` in turns, each waited for. */
async function interleave(device: Device, runs: number, ours: () => Promise<void>, theirs: () => Promise<void>): Promise<{ ours: number[]; theirs: number[] }> {
  const times = { ours: [] as number[], theirs: [] as number[] };
  const time = async (work: () => Promise<void>) => {
    const start = performance.now();
    await work();
    await device.idle();
    return performance.now() - start;
  };
  for (let i = 0; i < runs; i++) {
    times.ours.push(await time(ours));
    times.theirs.push(await time(theirs));
  }
  return times;
}

function insist(what: string, error: number): void {
  // Written so that NaN is wrong.
  if (!(error <= AGREE)) throw new Error(`not timed, it disagrees with ours: ${what} differs by ${error.toExponential(1)} of its size, allowed ${AGREE}`);
}

async function compareStep(device: Device, session: PeerSession, spec: StepSpec, runs: number, output: Output): Promise<Compared> {
  const ours = await prepareStep(device, { ...spec, method: 'lora', fields: {} }, { lr: LR, clip: 0 }, (done, total) => output.progress(`compiling ${done}/${total}`));
  try {
    const work = workOf(device, ours, spec);
    const theirs = await session.loraStep(work);
    const wanted = await theirs.gradients();
    let start = performance.now();
    ours.run();
    await device.idle();
    const oursFirst = ours.compileMs + performance.now() - start;
    const gradientError = await compareGradients(device, ours, wanted);
    start = performance.now();
    await theirs.step();
    await device.idle();
    const first = performance.now() - start;
    const lossError = await compareLosses(device, ours, theirs);
    const times = await interleave(device, runs, async () => ours.run(), () => theirs.step());
    return { ...times, more: { first_ms: first, ours_first_ms: oursFirst, loss_error: lossError, gradient_error: gradientError, gradients: wanted.gradients.size } };
  } finally {
    ours.dispose();
  }
}

/** The work as numbers on the host. Writes a random B besides A, for with B = 0 half of the gradients would be zero. */
function workOf(device: Device, { loaded, attachment, recorded }: PreparedStep, { batch, seq, method }: StepSpec): LoraWork {
  if (loaded.model.id !== 'llama') throw new UsageError(`bench peers: the peers' step is written for Llama layouts, ${loaded.name} is ${loaded.model.id}`);
  const config = loaded.config as LlamaConfig;
  const ids = idsOf(batch * seq, config.vocab);
  // A quarter of each row is a prompt that is not learnt from.
  const labels = Int32Array.from(ids, (id, i) => (i % seq < Math.floor(seq / 4) ? -100 : id));
  upload(device, recorded.inputs.labels, labels);
  const next = (i: number) => (i % seq === seq - 1 ? -100 : (labels[i + 1] as number));
  const tables = tablesOf(config.frequencies, seq);
  const start = (t: Tensor): HostTensor => {
    const data = drawn({ kind: 'normal', std: 0.05 }, t.shape, 1, t.label);
    upload(device, t, data);
    return { shape: t.shape, data };
  };
  const scale = attachment.adapters.values().next().value?.lora?.({}).scale;
  if (scale === undefined) throw new Error(`${method} has no plain LoRA form`);
  return {
    ...config, batch, seq, scale,
    cosines: tables.cosines.constant?.() as Float32Array,
    sines: tables.sines.constant?.() as Float32Array,
    ids: Int32Array.from(ids),
    targets: Int32Array.from(ids, (_, i) => Math.max(0, next(i))),
    counted: Float32Array.from(ids, (_, i) => Number(next(i) >= 0)),
    weights: new Map([...loaded.network.weights].map(([name, { tensor: t }]) => [name, { shape: t.shape, data: randomWeight(t) }])),
    adapters: new Map([...attachment.adapters].map(([name, { params }]) => [name, { A: start((params.A as { tensor: Tensor }).tensor), B: start((params.B as { tensor: Tensor }).tensor) }])),
    adamw: { lr: LR, beta1: defaultTraining.beta1, beta2: defaultTraining.beta2, eps: defaultTraining.eps, weightDecay: defaultTraining.weightDecay },
  };
}

async function compareGradients(device: Device, { step, attachment, recorded }: PreparedStep, theirs: Awaited<ReturnType<PeerStep['gradients']>>): Promise<number> {
  insist('the first loss', Math.abs(theirs.loss - (await lossAt(device, recorded.ring.tensor, 1))) / theirs.loss);
  const trained = attachment.params.filter((p) => p.trainable);
  if (theirs.gradients.size !== trained.length) throw new Error(`not timed: it gave ${theirs.gradients.size} gradients, wanted ${trained.length}`);
  let worst = 0;
  for (const [i, { name }] of trained.entries()) {
    const got = theirs.gradients.get(name.replace(/lora_([AB])$/, '$1'));
    const error = got ? shareOff(got, await step.read(recorded.gradients[i] as Tensor)) : Number.NaN;
    insist(`the gradient of ${name}`, error);
    worst = Math.max(worst, error);
  }
  return worst;
}

/** Both have done their first step. */
async function compareLosses(device: Device, ours: PreparedStep, theirs: PeerStep): Promise<number> {
  let worst = 0;
  for (let number = 1; number <= COMPARED_STEPS; number++) {
    if (number > 1) {
      ours.run();
      await theirs.step();
    }
    const [got, want] = [await theirs.loss(), await lossAt(device, ours.recorded.ring.tensor, number)];
    const error = Math.abs(got - want) / want;
    insist(`the loss of step ${number} (${got}, ours ${want})`, error);
    worst = Math.max(worst, error);
  }
  return worst;
}

/** The loss is the ring's first series. */
const lossAt = async (device: Device, ring: Tensor, step: number): Promise<number> => (await readF32(device, ring))[(step - 1) * RING_COLUMNS] as number;

/** Products in a row before the device is waited for, so that waiting does not count. */
const IN_A_ROW = 10;

async function compareProduct(device: Device, session: PeerSession, [m, n, k, tb]: Product, runs: number): Promise<Compared> {
  const random = (shape: readonly [number, number], seed: number): HostTensor => ({ shape, data: noise(shape[0] * shape[1], seed) });
  const [a, b] = [random([m, k], 1), random(tb ? [n, k] : [k, n], 7)];
  const [left, right] = [upload(device, tensor('a', a.shape, 'param'), a.data), upload(device, tensor('b', b.shape, 'param'), b.data)];
  const graph = new Graph();
  const y = graph.record(() => matmul(left, right, { tb }));
  const step = await compile(device, graph, { keep: [y] });
  const theirs = await session.product(a, b, tb);
  try {
    step.run();
    const [ourNumbers, theirNumbers] = [await step.read(y), await theirs.read()];
    const shape = { m, n, k, ta: false, tb };
    const [error, own] = [sampledError(theirNumbers, a.data, b.data, shape), sampledError(ourNumbers, a.data, b.data, shape)];
    if (!(own <= AGREE)) throw new Error(`our own product is wrong: ${own.toExponential(1)} of its terms`);
    insist('the product', error);
    const repeats = device.profile.software ? 1 : IN_A_ROW;
    const times = await interleave(device, runs, async () => { for (let i = 0; i < repeats; i++) step.run(); }, () => theirs.run(repeats));
    const each = (xs: readonly number[]) => xs.map((ms) => ms / repeats);
    return { ours: each(times.ours), theirs: each(times.theirs), more: { error, gflops: (2 * m * n * k) / median(each(times.theirs)) / 1e6, ours_gflops: (2 * m * n * k) / median(each(times.ours)) / 1e6 } };
  } finally {
    theirs.dispose();
    step.dispose();
    for (const t of [left, right]) free(device, t);
  }
}
