// Every family of kernels at the sizes of a training step: checked first, then timed, with its share of what the device can do.
// Checked means: values and gradients of every kernel that this device may choose agree with the f64 reference at a small size,
// and at the timed size all of them agree with the plainest.
import type { Device, Slice } from '../../engine/gpu/device';
import type { Kernel } from '../../engine/gpu/kernel';
import { attention, crossEntropy, matmul, rmsNorm, rope, ropeTables, swiglu } from '../../engine/ops';
import * as activationsReference from '../../engine/ops/activations.reference';
import * as attentionReference from '../../engine/ops/attention.reference';
import * as lossReference from '../../engine/ops/loss.reference';
import * as matmulReference from '../../engine/ops/matmul.reference';
import * as normsReference from '../../engine/ops/norms.reference';
import { type Limits, limitsOf, rooflineShare, trafficOf } from '../../engine/ops/roofline';
import { AdamW } from '../../engine/optim/adamw';
import { type Command, Graph, node, output as stepTensor } from '../../engine/tensor/graph';
import { free, readF32, sliceOf, upload } from '../../engine/tensor/memory';
import { plan } from '../../engine/tensor/planner';
import { type Step, compile } from '../../engine/tensor/step';
import { type HostData, type Tensor, elements, rootOf, sizeOf, tensor } from '../../engine/tensor/tensor';
import { type Case, type Input, findings, halves, i32, quantised, testCase } from '../../engine/testing/check';
import { timeKernel } from '../../engine/gpu/measure';
import { noise } from '../../engine/testing/noise';
import { sampledError, shareOff } from '../../engine/testing/product';
import { type LlamaConfig, llama } from '../../models/llama';
import { shapes } from '../../models/shapes';
import type { WeightKind } from '../../util/packed';
import { UsageError } from '../options';
import type { Output } from '../output';

export interface KernelsSpec {
  readonly shape: string | undefined;
  readonly batch: number | undefined;
  readonly seq: number | undefined;
  readonly rank: number;
  readonly runs: number;
  readonly filter: string;
}

/** Of the largest number: what f32 in another order may differ by stays a hundred times below, a wrong term far above. */
const AGREE = 1e-4;

/** One thing to time. */
interface Subject {
  readonly name: string;
  readonly shape: string;
  /** What is wrong at a small size; nothing, if all is well. */
  check(device: Device): Promise<string[]>;
  /** Records it at full size, its inputs on the device. */
  prepare(device: Device): Prepared;
}
interface Prepared {
  readonly graph: Graph;
  readonly outputs: readonly Tensor[];
  /** What is wrong with the outputs by other means than comparing kernels. */
  judge?(outputs: readonly Float32Array[]): string[];
  dispose(): void;
}

/** 0 when every kernel passed its check, else 1. */
export async function benchKernels(device: Device, spec: KernelsSpec, output: Output): Promise<number> {
  const { software } = device.profile;
  const shape = spec.shape ?? (software ? 'tale-1m' : 'smollm2-135m');
  const json = shapes[shape] as { model_type?: string } | undefined;
  if (json?.model_type !== 'llama') throw new UsageError(`bench kernels: --shape ${shape}: the shapes of Llama layouts are ${Object.keys(shapes).filter((name) => (shapes[name] as { model_type?: string }).model_type === 'llama').join(', ')}`);
  const sizes = sizesOf(llama.parse(json), spec.batch ?? 4, spec.seq ?? (software ? 64 : 256), spec.rank);
  const chosen = subjects(sizes, software).filter(({ name, shape: text }) => `${name} ${text}`.includes(spec.filter));
  if (chosen.length === 0) throw new UsageError(`bench kernels: --filter ${spec.filter} fits none of ${[...new Set(subjects(sizes, software).map(({ name }) => name))].join(', ')}`);
  output.progress('measuring what the device can do');
  const limits = await limitsOf(device);
  const [tera, giga] = [(x: number) => x / 1e9, (x: number) => x / 1e6];
  output.event(
    { event: 'limits', gbps: giga(limits.bytes), gflops: giga(limits.f32), gflops_f16: limits.f16 === null ? null : giga(limits.f16) },
    `limits: ${giga(limits.bytes).toFixed(1)} GB/s copied, ${tera(limits.f32).toFixed(3)} TFLOP/s f32${limits.f16 === null ? '' : `, ${tera(limits.f16).toFixed(3)} f16`}`,
  );
  let passed = true;
  for (const subject of chosen) {
    const label = `${subject.name} ${subject.shape}`;
    output.progress(`checking ${label}`);
    const wrong = await subject.check(device);
    if (wrong.length === 0) wrong.push(...(await time(device, subject, limits, spec.runs, output)));
    if (wrong.length === 0) continue;
    passed = false;
    output.event({ event: 'kernel', name: subject.name, shape: subject.shape, failed: wrong }, `FAILED, not timed: ${label}\n  ${wrong.join('\n  ')}`);
  }
  return passed ? 0 : 1;
}

/** Compares all kernels at full size, then times each of them; gives back what is wrong. */
async function time(device: Device, subject: Subject, limits: Limits, runs: number, output: Output): Promise<string[]> {
  const prepared = subject.prepare(device);
  const { graph, outputs } = prepared;
  const candidates = (command: Command) => command.family.candidates(device.profile, command.params);
  // As a step would run them: with what joins joined, and nothing computed twice.
  const options = { share: false, recompute: 'none' } as const;
  const { commands } = plan(graph.commands, outputs.map(rootOf), [], options);
  const own = [...new Set([...commands.flatMap((c) => c.tensors), ...outputs].map(rootOf))].filter((t) => t.life === 'step');
  const onTurn = (turn: number) => (command: Command): Kernel => {
    const all = candidates(command);
    return all[turn % all.length] as Kernel;
  };
  const read = async (step: Step): Promise<Float32Array[]> => {
    step.run();
    const values: Float32Array[] = [];
    for (const t of outputs) values.push(t.life === 'step' ? await step.read(t) : await readF32(device, t));
    return values;
  };
  let plain: Step | undefined;
  try {
    plain = await compile(device, graph, { keep: own, ...options, kernels: onTurn(0) });
    const wanted = await read(plain);
    const wrong = prepared.judge?.(wanted) ?? [];
    const turns = Math.max(...commands.map((c) => candidates(c).length));
    for (let turn = 1; turn < turns; turn++) {
      const other = await compile(device, graph, { keep: outputs.filter((t) => t.life === 'step'), ...options, kernels: onTurn(turn) });
      const values = await read(other);
      other.dispose();
      for (const [i, want] of wanted.entries()) {
        const error = shareOff(values[i] as Float32Array, want);
        if (!(error <= AGREE)) wrong.push(`${[...new Set(commands.map((c) => onTurn(turn)(c).key))].join(', ')}: ${outputs[i]?.label} differs by ${error.toExponential(1)} of the largest`);
      }
    }
    if (wrong.length > 0) return wrong;
    const slices = (command: Command): Slice[] => command.tensors.map((t) => (rootOf(t).life === 'step' ? (plain as Step).slice(t) : sliceOf(device, rootOf(t))));
    const seen = new Set<string>();
    for (const command of commands) {
      for (const kernel of candidates(command)) {
        // The same kernel over the same sizes is timed once: rope turns back as it turned.
        const key = `${kernel.key} ${command.flops} ${command.tensors.map((t) => t.shape.join()).join(' ')}`;
        if (seen.has(key) || command.family.name.startsWith('elementwise/fill')) continue;
        seen.add(key);
        const { ms, spread, timed } = await timeKernel(device, kernel, command.params, slices(command), Math.min(runs, 9));
        const bytes = trafficOf(command);
        const { share: roofline } = rooflineShare(limits, { flops: command.flops, bytes, ms });
        output.event(
          { event: 'kernel', name: command.family.name, variant: kernel.key, shape: sizesText(command, subject.shape), ms, gflops: command.flops / ms / 1e6, gbps: bytes / ms / 1e6, roofline, spread, timed },
          `${ms.toFixed(4).padStart(10)} ms ± ${(50 * spread).toFixed(0).padStart(2)} %  ${(command.flops / ms / 1e6).toFixed(1).padStart(9)} GFLOP/s  ${(bytes / ms / 1e6).toFixed(1).padStart(7)} GB/s  ${(100 * roofline).toFixed(0).padStart(4)} % of the roofline  ${sizesText(command, subject.shape)}  ${kernel.key}`,
        );
      }
    }
    return [];
  } finally {
    plain?.dispose();
    prepared.dispose();
  }
}

/** A product by its own sizes, with the inner size of a second one that is joined in; others by their subject's. */
function sizesText({ family, params: { m, n, k, k2, ta, tb } }: Command, otherwise: string): string {
  return family.name.startsWith('matmul') && m !== undefined ? `${m}×${n}×${k}${k2 ? ` + ${k2}` : ''} ${ta ? 'T' : 'N'}${tb ? 'T' : 'N'}` : otherwise;
}

interface Sizes {
  readonly batch: number;
  readonly seq: number;
  readonly rows: number;
  readonly rank: number;
  readonly config: LlamaConfig;
  /** LoRA parameters of all layers together. */
  readonly trained: number;
}

function sizesOf(config: LlamaConfig, batch: number, seq: number, rank: number): Sizes {
  const { hidden, heads, kvHeads, headSize, ffn, layers } = config;
  const ends = 2 * (hidden + heads * headSize) + 2 * (hidden + kvHeads * headSize) + 3 * (hidden + ffn);
  return { batch, seq, rows: batch * seq, rank, config, trained: layers * rank * ends };
}

function subjects(sizes: Sizes, software: boolean): Subject[] {
  const { batch, seq, rows, rank, config, trained } = sizes;
  const { hidden, heads, kvHeads, headSize, ffn, vocab } = config;
  const products: readonly (readonly [m: number, n: number, k: number, ta: boolean, tb: boolean])[] = [
    ...(software ? [] : ([[4096, 4096, 4096, false, false], [2048, 1536, 576, false, true]] as const)),
    // y = x Wᵀ of a projection, up, down and the head; their dx = dy W.
    [rows, hidden, hidden, false, true], [rows, ffn, hidden, false, true], [rows, hidden, ffn, false, true], [rows, vocab, hidden, false, true],
    [rows, hidden, hidden, false, false], [rows, ffn, hidden, false, false], [rows, hidden, ffn, false, false], [rows, hidden, vocab, false, false],
    // An adapter: x Aᵀ and (x Aᵀ) Bᵀ; then dy B and its way on through A; then dB and dA.
    [rows, rank, hidden, false, true], [rows, hidden, rank, false, true],
    [rows, rank, hidden, false, false], [rows, hidden, rank, false, false],
    [hidden, rank, rows, true, false], [rank, hidden, rows, true, false],
  ];
  const time = Math.min(seq, 9);
  return [
    ...products.map((p) => product(...p)),
    // A frozen projection and its dx, with the weight kept small.
    ...(['f16', 'int8', 'int4'] as const).map((kind) => ofCase(`matmul/${kind}`, `${rows}×${ffn}×${hidden}`, frozenCase(kind, 9, 68, 96), frozenCase(kind, rows, ffn, hidden), ['x'])),
    ofCase('lora', `${rows}×${hidden} r ${rank}`, loraCase(9, 20, 16, 4), loraCase(rows, hidden, hidden, rank), ['x', 'A', 'B']),
    ofCase('attention', `${batch}×${seq}, ${heads}/${kvHeads} heads of ${headSize}`, attentionCase(1, 19, 2, 1, headSize), attentionCase(batch, seq, heads, kvHeads, headSize)),
    ofCase('rope', `${batch}×${seq}×${heads * headSize}`, ropeCase(2, time, 2, headSize), ropeCase(batch, seq, heads, headSize)),
    ofCase('rms_norm', `${rows}×${hidden}`, normCase(5, 65), normCase(rows, hidden), ['x']),
    ofCase('swiglu', `${rows}×${ffn}`, swigluCase(3, 65), swigluCase(rows, ffn)),
    ofCase('cross_entropy', `${rows}×${vocab}`, lossCase(2, 3, 257), lossCase(batch, seq, vocab)),
    adamw(trained),
  ];
}

/** Cheap random numbers at full size, where drawing them well would take longer than the bench. */
const spread = (shape: readonly number[], seed: number): Input => ({ shape, dtype: 'f32', make: () => noise(sizeOf(shape), seed) });

/** A projection with its adapter, y = x Wᵀ + 2 (x Aᵀ) Bᵀ, and its backward without dW. */
const loraCase = (rows: number, inn: number, out: number, rank: number): Case =>
  testCase(`lora ${rows}×${inn}×${out} r ${rank}`, { x: spread([rows, inn], 1), W: spread([out, inn], 2), A: spread([rank, inn], 3), B: spread([out, rank], 4) },
    ({ x, W, A, B }) => matmul(matmul(x, A, { tb: true }), B, { tb: true, alpha: 2, c: matmul(x, W, { tb: true }) }),
    ({ x, W, A, B }) => {
      const [low, base] = [matmulReference.matmul(x, A, { tb: true }), matmulReference.matmul(x, W, { tb: true })];
      const y = matmulReference.matmul(low, B, { tb: true, alpha: 2, c: base });
      // What the two products before it are off by goes on into the sum.
      const inherited = (i: number) => {
        const [row, column] = [Math.floor(i / out), i % out];
        let total = base.error[i] as number;
        for (let r = 0; r < rank; r++) total += 2 * Math.abs(B.data[column * rank + r] as number) * (low.error[row * rank + r] as number);
        return total;
      };
      return { ...y, error: y.error.map((own, i) => own + inherited(i)) };
    });
/** y = x Wᵀ with W [out, in] kept as f16, int8 or int4, and dx = dy W. */
const frozenCase = (kind: Exclude<WeightKind, 'f32'>, rows: number, out: number, inn: number): Case =>
  testCase(`matmul/${kind} ${rows}×${out}×${inn}`, { x: spread([rows, inn], 1), W: kind === 'f16' ? halves([out, inn]) : quantised([out, inn], kind) },
    ({ x, W }) => matmul(x, W, { tb: true }), ({ x, W }) => matmulReference.matmul(x, W, { tb: true }));
const attentionCase = (batch: number, time: number, heads: number, kvHeads: number, d: number): Case => {
  const options = { heads, kvHeads, causal: true };
  return testCase(`attention ${batch}×${time}`, { q: spread([batch, time, heads * d], 1), k: spread([batch, time, kvHeads * d], 2), v: spread([batch, time, kvHeads * d], 3) },
    ({ q, k, v }) => attention(q, k, v, options), ({ q, k, v }) => attentionReference.attention(q, k, v, options));
};
const ropeCase = (batch: number, time: number, heads: number, d: number): Case => {
  const tables = ropeTables(10000, d, time);
  return testCase(`rope ${batch}×${time}`, { x: spread([batch, time, heads * d], 1), positions: { shape: [time], dtype: 'u32', make: () => Uint32Array.from({ length: time }, (_, t) => t) } },
    ({ x, positions }) => rope(x, tables, positions, d), ({ x, positions }) => attentionReference.rope(x, 10000, positions, d, 1));
};
const normCase = (rows: number, columns: number): Case =>
  testCase(`rms_norm ${rows}×${columns}`, { x: spread([rows, columns], 1), w: spread([columns], 2) }, ({ x, w }) => rmsNorm(x, w, 1e-5), ({ x, w }) => normsReference.rmsNorm(x, w, 1e-5));
const swigluCase = (rows: number, columns: number): Case =>
  testCase(`swiglu ${rows}×${columns}`, { g: spread([rows, columns], 1), u: spread([rows, columns], 2) }, ({ g, u }) => swiglu(g, u), ({ g, u }) => activationsReference.swiglu(g, u));
const lossCase = (batch: number, time: number, vocab: number): Case =>
  testCase(`cross_entropy ${batch}×${time}×${vocab}`, { logits: spread([batch, time, vocab], 1), labels: i32([batch, time], (i) => (i % 4 === 0 ? -100 : (7919 * i) % vocab)) },
    ({ logits, labels }) => crossEntropy(logits, labels, 1).loss, ({ logits, labels }) => lossReference.crossEntropy(logits, labels, 1).loss);

/** A case at a small size for the check and at full size for the clock; with the backward kernels of `wrt`. */
function ofCase(name: string, shape: string, small: Case, large: Case, wrt = large.wrt): Subject {
  return { name, shape, check: (device) => findings(device, { ...small, wrt, profiles: [device.profile] }), prepare: (device) => record(device, { ...large, wrt }).prepared };
}

function record(device: Device, { inputs, op, wrt }: Case): { prepared: Prepared; host: Readonly<Record<string, HostData>> } {
  const host = Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, input.make(1)]));
  const tensors = Object.fromEntries(Object.entries(inputs).map(([name, { shape, dtype }]) => [name, upload(device, tensor(name, shape, 'input', dtype), host[name] as HostData)]));
  const owned = Object.values(tensors);
  const graph = new Graph();
  const outputs = graph.record(() => {
    const y = op(tensors);
    if (wrt.length === 0) return [y];
    const dy = upload(device, tensor('cotangent', y.shape, 'input'), noise(elements(y), 9));
    owned.push(dy);
    const probe = stepTensor('probe', [1]);
    node('probe', { y }, [probe], () => ({ y: dy }));
    return [y, ...graph.grad(probe, wrt.map((name) => tensors[name] as Tensor))];
  });
  return { host, prepared: { graph, outputs, dispose: () => { for (const t of owned) free(device, t); } } };
}

function product(m: number, n: number, k: number, ta: boolean, tb: boolean): Subject {
  const at = (rows: number, columns: number, inner: number): Case =>
    testCase(`matmul ${rows}×${columns}×${inner}`, { a: spread(ta ? [inner, rows] : [rows, inner], 1), b: spread(tb ? [columns, inner] : [inner, columns], 2) },
      ({ a, b }) => matmul(a, b, { ta, tb }), ({ a, b }) => matmulReference.matmul(a, b, { ta, tb }), { wrt: [] });
  // Sizes that the same kernels take: multiples of four where the large ones are, and as thin.
  const like = (size: number, small: number) => (size <= 64 ? size : size % 4 === 0 ? small : small - 1);
  const small = at(like(m, 36), like(n, 44), ta ? 260 : like(k, 68));
  return {
    name: 'matmul',
    shape: `${m}×${n}×${k} ${ta ? 'T' : 'N'}${tb ? 'T' : 'N'}`,
    check: (device) => findings(device, { ...small, profiles: [device.profile] }),
    prepare(device) {
      const { host, prepared } = record(device, at(m, n, k));
      const judge = ([y]: readonly Float32Array[]) => {
        const error = sampledError(y as Float32Array, host.a as Float32Array, host.b as Float32Array, { m, n, k, ta, tb });
        // (k + 8) roundings of 2⁻²⁴ are the most that a sum of k terms can be off by.
        return error <= (k + 8) * 2 ** -24 ? [] : [`differs by ${error.toExponential(1)} of its terms from the exact product`];
      };
      return { ...prepared, judge };
    },
  };
}

/** The update of all adapters at once, n numbers. Its small check is the formula itself, at step 1 without clipping. */
function adamw(n: number): Subject {
  const settings = { beta1: 0.9, beta2: 0.999, eps: 1e-8, clip: 0 };
  const make = (device: Device, size: number) => {
    const trained = tensor('trained', [size], 'param');
    const optimizer = new AdamW([{ tensor: trained, group: 'default' }], settings);
    optimizer.allocate(device, { default: { lrScale: 1, weightDecay: 0.01 } });
    const [p, g] = [noise(size, 1), noise(elements(optimizer.gradients), 2)];
    upload(device, trained, p);
    upload(device, optimizer.gradients, g);
    const loss = upload(device, tensor('loss', [1], 'input'), Float32Array.of(1));
    const graph = new Graph();
    graph.record(() => {
      optimizer.guard(loss);
      optimizer.update();
    });
    const dispose = () => {
      optimizer.dispose(device);
      free(device, loss);
    };
    return { p, g, trained, optimizer, graph, dispose };
  };
  return {
    name: 'adamw',
    shape: `${n}`,
    async check(device) {
      const { p, g, trained, optimizer, graph, dispose } = make(device, 1000);
      const step = await compile(device, graph);
      const lr = 0.1;
      step.run(null, { step: 1, seed: 1, lr, ...optimizer.bias(1) });
      const got = await readF32(device, trained);
      // At step 1 both moments, corrected, are g and g².
      const want = p.map((x, i) => x * (1 - lr * 0.01) - (lr * (g[i] as number)) / (Math.abs(g[i] as number) + settings.eps));
      step.dispose();
      dispose();
      const error = shareOff(got, want);
      return error <= AGREE ? [] : [`the first update differs by ${error.toExponential(1)} of the largest`];
    },
    prepare(device) {
      const { graph, optimizer, dispose } = make(device, n);
      return { graph, outputs: [optimizer.control], dispose };
    },
  };
}
