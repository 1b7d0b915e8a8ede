// Judges an op on the device: its value against the f64 reference on every kernel that could be chosen, its gradients against
// central differences of that reference. What is wrong comes back as a list, so that planted faults can be asserted too.
// Supplies the ops that the reverse walk needs, for tests that import a single op.
import '../ops/add';
import { f16ToF32, f32ToF16 } from '../../util/float16';
import { type PackedKind, dequantise, quantise } from '../../util/packed';
import { normal } from '../../util/random';
import type { Device, Profile } from '../gpu/device';
import type { Kernel } from '../gpu/kernel';
import { type Command, Graph, node, output } from '../tensor/graph';
import { free, upload } from '../tensor/memory';
import { type StepScalars, compile } from '../tensor/step';
import { type DType, type HostData, type Shape, type Tensor, sizeOf, tensor } from '../tensor/tensor';
import { EPSILON, type Expected, type Host, TINY } from './reference';

/** The kinds of device that kernel choice tells apart, whatever the tests run on; the last has room for no tile. */
export const PROFILES: readonly Profile[] = [
  { software: true, id: 'software', workgroupBytes: 32768, invocations: 256, matrices: false },
  { software: false, id: 'hardware', workgroupBytes: 32768, invocations: 256, matrices: false },
  { software: false, id: 'hardware without room for tiles', workgroupBytes: 1024, invocations: 256, matrices: false },
];

/** An input: its shape, and its numbers from a seed. Only f32 inputs are differentiated. */
export interface Input {
  readonly shape: Shape;
  readonly dtype: DType;
  make(seed: number): HostData;
}

/** Standard normal numbers times `scale`. */
export const normals = (shape: Shape, scale = 1): Input => ({
  shape,
  dtype: 'f32',
  make: (seed) => Float32Array.from({ length: sizeOf(shape) }, (_, i) => scale * normal(seed, 0, i)),
});
/** Standard normal numbers as halves; the reference sees them rounded. */
export const halves = (shape: Shape): Input => ({ shape, dtype: 'f16', make: (seed) => f16ToF32(f32ToF16(normals(shape).make(seed) as Float32Array)) });
/** Standard normal numbers as codes with scales; the reference sees what those stand for. */
export const quantised = (shape: Shape, kind: PackedKind): Input => ({ shape, dtype: kind, make: (seed) => dequantise(quantise(kind, normals(shape).make(seed) as Float32Array)) });
const given = (shape: Shape, dtype: DType, make: () => HostData): Input => ({ shape, dtype, make });
export const floats = (shape: Shape, data: readonly number[]): Input => given(shape, 'f32', () => Float32Array.from(data));
export const u32 = (shape: Shape, at: (i: number) => number): Input => given(shape, 'u32', () => Uint32Array.from({ length: sizeOf(shape) }, (_, i) => at(i)));
export const i32 = (shape: Shape, at: (i: number) => number): Input => given(shape, 'i32', () => Int32Array.from({ length: sizeOf(shape) }, (_, i) => at(i)));

export interface Case {
  readonly name: string;
  readonly inputs: Readonly<Record<string, Input>>;
  /** Records the op. */
  readonly op: (inputs: Readonly<Record<string, Tensor>>) => Tensor;
  readonly reference: (inputs: Readonly<Record<string, Host>>) => Expected;
  readonly scalars: Partial<StepScalars>;
  /** Inputs to be differentiated; all of f32 unless it says otherwise. */
  readonly wrt: readonly string[];
  /** The kinds of device whose kernels are tried. */
  readonly profiles: readonly Profile[];
  /** All kernels that one kind of device may choose from must agree bit for bit. */
  readonly sameBits: boolean;
}

/** A row of a case table; the names of inputs are checked by the compiler. */
export function testCase<I extends string>(
  name: string,
  inputs: Readonly<Record<I, Input>>,
  op: (inputs: Readonly<Record<I, Tensor>>) => Tensor,
  reference: (inputs: Readonly<Record<I, Host>>) => Expected,
  options: { scalars?: Partial<StepScalars>; wrt?: readonly NoInfer<I>[]; profiles?: readonly Profile[]; sameBits?: boolean } = {},
): Case {
  const floatInputs = (Object.keys(inputs) as I[]).filter((input) => inputs[input].dtype === 'f32');
  return { name, inputs, op, reference, scalars: options.scalars ?? {}, wrt: options.wrt ?? floatInputs, profiles: options.profiles ?? PROFILES, sameBits: options.sameBits ?? false } as Case;
}

/** Every kernel that a device of one of the profiles may be given for a command, each once. */
function candidates({ family, params }: Command, profiles: readonly Profile[]): Kernel[] {
  const all = profiles.flatMap((profile) => family.candidates(profile, params));
  return [...new Map(all.map((kernel) => [kernel.key, kernel])).values()];
}

/** What becomes of the `index`-th recorded command before it is compiled: a fault to plant. */
export type Change = (command: Command, index: number) => Command;

/** What one compiled recording of a case gave. */
interface Outcome {
  readonly value: Float32Array;
  readonly gradients: Readonly<Record<string, Float32Array>>;
}

/** A case with its numbers on the device. */
class Bench {
  readonly host: Record<string, Host> = {};
  readonly cotangent: Float64Array;
  readonly expected: Expected;
  private readonly tensors: Record<string, Tensor> = {};
  private readonly dy: Tensor;

  constructor(readonly device: Device, readonly test: Case) {
    for (const [name, { shape, dtype, make }] of Object.entries(test.inputs)) {
      const data = make(seedOf(`${test.name} ${name}`));
      this.host[name] = { shape, data: Float64Array.from(data) };
      this.tensors[name] = upload(device, tensor(name, shape, 'input', dtype), data);
    }
    this.expected = test.reference(this.host);
    const dy = normals(this.expected.shape).make(seedOf(`${test.name} cotangent`));
    this.cotangent = Float64Array.from(dy);
    this.dy = upload(device, tensor('cotangent', this.expected.shape, 'input'), dy);
  }

  /** Records the op and its gradients under the random cotangent; `loss` is never computed, only named. */
  private record(): { graph: Graph; y: Tensor; gradients: Tensor[] } {
    const graph = new Graph();
    return graph.record(() => {
      const y = this.test.op(this.tensors);
      if (this.test.wrt.length === 0) return { graph, y, gradients: [] };
      const loss = output('probe', [1]);
      node('probe', { y }, [loss], () => ({ y: this.dy }));
      return { graph, y, gradients: graph.grad(loss, this.test.wrt.map((name) => this.tensors[name] as Tensor)) };
    });
  }

  private candidates(command: Command): Kernel[] {
    return candidates(command, this.test.profiles);
  }

  /** How many runs it takes until every candidate of every command had its turn. */
  turns(): number {
    return this.record().graph.commands.reduce((most, command) => Math.max(most, this.candidates(command).length), 1);
  }

  /** Each command on the kernel that is `turn`-th in its list of candidates. */
  async run(turn: number, change: Change = (command) => command): Promise<Outcome> {
    const { graph, y, gradients } = this.record();
    graph.commands.forEach((command, i) => { graph.commands[i] = change(command, i); });
    const step = await compile(this.device, graph, { keep: [y, ...gradients], kernels: (command) => { const all = this.candidates(command); return all[turn % all.length] as Kernel; } });
    step.run(null, this.test.scalars);
    const value = await step.read(y);
    const read: Record<string, Float32Array> = {};
    for (const [i, name] of this.test.wrt.entries()) read[name] = await step.read(gradients[i] as Tensor);
    step.dispose();
    return { value, gradients: read };
  }

  dispose(): void {
    for (const t of [...Object.values(this.tensors), this.dy]) free(this.device, t);
  }
}

/** Everything that is wrong with the case, on every candidate kernel; empty when nothing is. */
export async function findings(device: Device, test: Case, change?: Change): Promise<string[]> {
  // A device chooses among its own kernels by measurement, so those must agree; another kind of device may add up in another order.
  if (test.sameBits && test.profiles.length > 1) return (await Promise.all(test.profiles.map((profile) => findings(device, { ...test, profiles: [profile] }, change)))).flat();
  const bench = new Bench(device, test);
  const truth = new Differences(bench);
  const found: string[] = [];
  let first: Outcome | undefined;
  for (let turn = 0; turn < bench.turns(); turn++) {
    const outcome = await bench.run(turn, change);
    first ??= outcome;
    const wrong = [...compareValues(outcome.value, bench.expected), ...compareGradients(outcome.gradients, truth), ...(test.sameBits ? compareBits(outcome, first) : [])];
    found.push(...wrong.map((text) => `${test.name}, kernel ${turn}: ${text}`));
  }
  bench.dispose();
  return found;
}

function compareBits(a: Outcome, b: Outcome): string[] {
  const differ = (x: Float32Array, y: Float32Array) => x.findIndex((value, i) => !Object.is(value, y[i]));
  const pairs = [['value', a.value, b.value] as const, ...Object.entries(a.gradients).map(([name, got]) => [`gradient of ${name}`, got, b.gradients[name] as Float32Array] as const)];
  return pairs.flatMap(([what, x, y]) => {
    const i = differ(x, y);
    return i < 0 ? [] : [`${what}[${i}] is ${x[i]}, the first kernel gives ${y[i]}`];
  });
}

const SHOWN = 3;

export function compareValues(got: Float32Array, { data, error }: Expected): string[] {
  if (got.length !== data.length) return [`${got.length} numbers, the reference gives ${data.length}`];
  const wrong: string[] = [];
  for (let i = 0; i < got.length && wrong.length < SHOWN; i++) {
    const [value, bound] = [data[i] as number, allowed(error[i] as number)];
    const off = Math.abs((got[i] as number) - value);
    // Written so that NaN is wrong.
    if (!(off <= bound)) wrong.push(`value[${i}] is ${got[i]}, wanted ${value} ± ${bound}`);
  }
  return wrong;
}

/** Zero stays zero: what only moves, or is masked, must be exact. */
const allowed = (error: number) => (error === 0 ? 0 : error * EPSILON + TINY);

/** Central differences of cotangent · reference, one entry at a time and remembered. */
class Differences {
  private readonly known = new Map<string, number>();
  constructor(private readonly bench: Bench) {}

  at(name: string, index: number): number {
    const key = `${name} ${index}`;
    let slope = this.known.get(key);
    if (slope === undefined) {
      slope = this.slope(name, index);
      this.known.set(key, slope);
    }
    return slope;
  }

  private slope(name: string, index: number): number {
    const { data } = this.bench.host[name] as Host;
    const before = data[index] as number;
    // Near the cube root of the precision of f64, where cutting off the series and rounding cost alike; a power of two, so x ± h is exact.
    const h = 2 ** (Math.ceil(Math.log2(Math.max(1, Math.abs(before)))) - 17);
    const loss = (value: number) => {
      data[index] = value;
      const y = this.bench.test.reference(this.bench.host).data;
      return y.reduce((total, v, i) => total + v * (this.bench.cotangent[i] as number), 0);
    };
    const slope = (loss(before + h) - loss(before - h)) / (2 * h);
    data[index] = before;
    return slope;
  }
}

const SAMPLES = 5;
/** A wrong term shows as 1e-1 or so, f32 noise of the sizes tested as 1e-6: this share of the largest gradient lies well between. */
const SHARE = 1e-4;
/** Terms that cancel in one input's gradient stand in full size in another's, so their rounding is a share of the largest of all. */
const CANCELLED = 32 * EPSILON;

function compareGradients(gradients: Readonly<Record<string, Float32Array>>, truth: Differences): string[] {
  const broken = Object.entries(gradients).filter(([, got]) => !got.every(Number.isFinite)).map(([name]) => `gradient of ${name} is not finite`);
  if (broken.length > 0) return broken;
  const sampled = Object.entries(gradients).flatMap(([name, got]) => samples(name, got).map((i) => ({ name, i, got: got[i] as number, want: truth.at(name, i) })));
  const largest = (of: readonly { want: number }[]) => of.reduce((most, { want }) => Math.max(most, Math.abs(want)), 0);
  const most = largest(sampled);
  return sampled.flatMap(({ name, i, got, want }) => {
    const bound = SHARE * largest(sampled.filter((s) => s.name === name)) + CANCELLED * most + TINY;
    return Math.abs(got - want) <= bound ? [] : [`gradient of ${name}[${i}] is ${got}, differences give ${want}, allowed ± ${bound}`];
  });
}

/** Entries to check: some at random, the first and the last, and the one that came out largest, for outliers hide elsewhere. */
function samples(name: string, got: Float32Array): number[] {
  let peak = 0;
  got.forEach((value, i) => { if (Math.abs(value) > Math.abs(got[peak] as number)) peak = i; });
  const random = Array.from({ length: SAMPLES }, (_, i) => seedOf(`${name} ${i}`) % got.length);
  return [...new Set([0, got.length - 1, peak, ...random])];
}

/** A seed from a text (FNV-1a). */
function seedOf(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash;
}
