// lowrank bench: what a step, or a kernel, costs on the device at hand. Weights are random; nothing is read or written.
import { Network } from '../../engine/nn/network';
import { initial } from '../../engine/nn/init';
import { noAdapters } from '../../engine/nn/site';
import { matmul, matmulFamily } from '../../engine/ops';
import { Graph } from '../../engine/tensor/graph';
import { upload, write } from '../../engine/tensor/memory';
import { compile } from '../../engine/tensor/step';
import { elements, tensor } from '../../engine/tensor/tensor';
import type { Device } from '../../engine/gpu/device';
import { methodFor } from '../../methods/registry';
import { modelFor } from '../../models/registry';
import { shapes } from '../../models/shapes';
import { attach, initialise } from '../../training/attach';
import { defaultTraining } from '../../training/config';
import { bind } from '../../training/contract';
import type { LoadedModel } from '../../training/loaded';
import { groupSettings, recordTraining } from '../../training/step';
import { UsageError, parse } from '../options';
import { type Output, bytesText, createOutput } from '../output';
import { openDevice } from '../session';
import { forward } from '../../models/model';
import { benchLinalg } from './bench-linalg';

const flags = { shape: 'text', method: 'text', rank: 'number', batch: 'number', seq: 'number', runs: 'number', filter: 'text', dtype: 'text', profile: 'flag' } as const;

export async function bench(args: readonly string[]): Promise<number> {
  const { values: v, positionals } = parse('bench', args, flags, 1);
  const output = createOutput(v.json ?? false);
  const what = positionals[0];
  if (what !== 'step' && what !== 'kernels' && what !== 'linalg') throw new UsageError(`bench: give 'step', 'kernels' or 'linalg', got '${what ?? ''}'`);
  if (v.dtype !== undefined && v.dtype !== 'f32') throw new UsageError(`bench: --dtype ${v.dtype}: only f32 is built so far`);
  const device = await openDevice(v['adapter-backend'], output);
  const runs = v.runs ?? 20;
  if (what === 'linalg') await benchLinalg(device, { filter: v.filter ?? '', rank: v.rank ?? 64, runs }, output);
  else if (what === 'kernels') await benchKernels(device, v.filter ?? '', runs, output);
  else await benchStep(device, { shape: v.shape ?? 'tale-1m', method: v.method ?? 'lora', rank: v.rank ?? 16, batch: v.batch ?? 4, seq: v.seq ?? 256, runs, profile: v.profile ?? false }, output);
  return 0;
}

/** A model of a known shape with small random weights on the device. */
function randomModel(device: Device, shape: string): LoadedModel {
  const json = shapes[shape];
  if (!json) throw new UsageError(`bench: there is no shape '${shape}'; the shapes are ${Object.keys(shapes).join(', ')}`);
  const model = modelFor(json);
  const config = model.parse(json);
  const network = new Network();
  const ids = tensor('ids', [1, 2], 'input', 'u32');
  new Graph().record(() => forward(model, network.scope({ ids, adapters: noAdapters, training: false }), config));
  for (const [name, { tensor: t }] of network.weights) upload(device, t, initial(t.shape.length === 1 ? { kind: 'ones' } : { kind: 'kaimingUniform', fanIn: 3 * (t.shape[1] as number) }, t.shape, 1, name));
  return { name: shape, model, config, info: model.info(config), network, folder: null as never, tokenizer: null, fileBytes: 0, dtype: 'F32' };
}

const median = (xs: readonly number[]): number => [...xs].sort((a, b) => a - b)[Math.floor(xs.length / 2)] as number;

interface StepBench { shape: string; method: string; rank: number; batch: number; seq: number; runs: number; profile: boolean }

async function benchStep(device: Device, { shape, method, rank, batch, seq, runs, profile }: StepBench, output: Output): Promise<void> {
  const loaded = randomModel(device, shape);
  const bound = bind(methodFor(method), { rank });
  const training = { ...defaultTraining, batch, seq };
  const attachment = attach(loaded.network, bound, '');
  const recorded = recordTraining(loaded, bound, attachment, training);
  recorded.adamw.allocate(device, groupSettings(bound, training));
  recorded.ring.allocate(device);
  initialise(device, attachment.params, 1);
  const step = await compile(device, recorded.graph, { place: recorded.adamw.places(device, recorded.gradients), progress: (done, total) => output.progress(`compiling ${done}/${total}`) });
  const ids = Uint32Array.from({ length: batch * seq }, (_, i) => (i * 7919) % loaded.info.vocab);
  write(device, recorded.ids, ids);
  write(device, recorded.labels, Int32Array.from(ids));
  let number = 0;
  const one = () => step.run(null, { step: ++number, seed: 1, lr: 1e-4, ...recorded.adamw.bias(number) });
  for (let i = 0; i < 3; i++) one();
  await device.idle();
  const times: number[] = [];
  for (let i = 0; i < runs; i++) {
    const start = performance.now();
    one();
    await device.idle();
    times.push(performance.now() - start);
  }
  const start = performance.now();
  for (let i = 0; i < runs; i++) one();
  const encode = (performance.now() - start) / runs;
  await device.idle();
  const pipelined = (performance.now() - start) / runs;
  const ms = median(times);
  output.event(
    { event: 'step', shape, method, rank, batch, seq, dtype: 'f32', ms, ms_min: Math.min(...times), ms_pipelined: pipelined, ms_encode: encode, tokens_per_s: Math.round((1000 * batch * seq) / ms), dispatches: step.cost.dispatches, gflop: step.cost.flops / 1e9, gflops: step.cost.flops / ms / 1e6, peak_bytes: device.peakBytes },
    `${shape}, ${method} r ${rank}, ${batch} × ${seq}: ${ms.toFixed(2)} ms a step (least ${Math.min(...times).toFixed(2)}, in a row ${pipelined.toFixed(2)}, of that encoding ${encode.toFixed(2)}), ${Math.round((1000 * batch * seq) / ms)} tokens/s, ${step.cost.dispatches} dispatches, ${(step.cost.flops / ms / 1e9).toFixed(2)} TFLOP/s, peak ${bytesText(device.peakBytes)}`,
  );
  if (!profile) return;
  const rows = await step.profile();
  if (!rows) {
    output.note('this device has no timestamps: no profile');
    return;
  }
  const groups = new Map<string, { count: number; ms: number; flops: number }>();
  for (const row of rows) {
    const { m, n, k, ta, tb } = row.params;
    const name = row.family === 'matmul' ? `${row.kernel} ${m}×${n}×${k} ${ta ? 'T' : 'N'}${tb ? 'T' : 'N'}` : row.kernel;
    const group = groups.get(name) ?? { count: 0, ms: 0, flops: 0 };
    groups.set(name, { count: group.count + 1, ms: group.ms + row.ms, flops: group.flops + row.flops });
  }
  const total = rows.reduce((sum, row) => sum + row.ms, 0);
  for (const [name, { count, ms: spent, flops }] of [...groups].sort((a, b) => b[1].ms - a[1].ms)) {
    output.event({ event: 'profile', kernel: name, count, ms: spent, share: spent / total, gflops: flops / spent / 1e6 }, `${((100 * spent) / total).toFixed(1).padStart(5)} %  ${spent.toFixed(3).padStart(9)} ms  ${String(count).padStart(4)} ×  ${(flops / spent / 1e6).toFixed(0).padStart(7)} GFLOP/s  ${name}`);
  }
}

const MATMULS: readonly (readonly [m: number, n: number, k: number, ta: 0 | 1, tb: 0 | 1])[] = [
  [4096, 4096, 4096, 0, 0], [2048, 1536, 576, 0, 1], [1024, 576, 576, 0, 1], [1024, 576, 1536, 0, 1], [1024, 16, 576, 0, 1], [1024, 576, 16, 0, 1], [1024, 4096, 256, 0, 1], [256, 128, 128, 0, 1],
];

async function benchKernels(device: Device, filter: string, runs: number, output: Output): Promise<void> {
  for (const [m, n, k, ta, tb] of MATMULS) {
    const shape = `${m}×${n}×${k} ${ta ? 'T' : 'N'}${tb ? 'T' : 'N'}`;
    if (!`matmul ${shape}`.includes(filter) || (device.profile.software && m * n * k > 2e9)) continue;
    const [a, b] = [tensor('a', ta ? [k, m] : [m, k], 'param'), tensor('b', tb ? [n, k] : [k, n], 'param')];
    for (const t of [a, b]) upload(device, t, new Float32Array(elements(t)).fill(0.5));
    for (const kernel of matmulFamily.candidates(device.profile, { m, n, k, ta, tb, add_c: 0, alpha: 1 })) {
      const graph = new Graph();
      const y = graph.record(() => Array.from({ length: Math.min(runs, 10) }, () => matmul(a, b, { ta: ta === 1, tb: tb === 1 })));
      const step = await compile(device, graph, { keep: y, kernels: () => kernel });
      step.run();
      await device.idle();
      const rows = await step.profile();
      const start = performance.now();
      step.run();
      await device.idle();
      const ms = rows ? median(rows.map((row) => row.ms)) : (performance.now() - start) / step.cost.dispatches;
      output.event({ event: 'kernel', name: 'matmul', variant: kernel.key, shape, ms, gflops: (2 * m * n * k) / ms / 1e6, gbps: (4 * (m * k + k * n + m * n)) / ms / 1e6, timed: rows ? 'timestamps' : 'wall clock' }, `${((2 * m * n * k) / ms / 1e9).toFixed(3).padStart(8)} TFLOP/s  ${ms.toFixed(4).padStart(9)} ms  matmul ${shape}  ${kernel.key}`);
      step.dispose();
    }
  }
}
