// lowrank bench: what a step or a kernel costs on the device at hand, also beside other libraries. Weights are random; nothing is
// read or written.
import { UsageError, pairs, parse, weightsOf } from '../options';
import { createOutput } from '../output';
import { openDevice } from '../session';
import { benchGrowth } from './bench-growth';
import { benchKernels } from './bench-kernels';
import { benchLinalg } from './bench-linalg';
import { benchMethods } from './bench-methods';
import { benchPeers } from './bench-peers';
import { type StepSpec, benchStep } from './bench-step';

const flags = { shape: 'text', method: 'text', rank: 'number', batch: 'number', seq: 'number', runs: 'number', filter: 'text', set: 'list', weights: 'text', dtype: 'text', profile: 'flag' } as const;
const KINDS = ['kernels', 'step', 'peers', 'growth', 'linalg'] as const;

export async function bench(args: readonly string[]): Promise<number> {
  const { values: v, positionals } = parse('bench', args, flags, 1);
  const kind = KINDS.find((name) => name === positionals[0]);
  if (!kind) throw new UsageError(`bench: give one of ${KINDS.join(', ')}, got '${positionals[0] ?? ''}'`);
  for (const name of ['rank', 'batch', 'seq', 'runs'] as const) {
    if (v[name] !== undefined && !(Number.isInteger(v[name]) && v[name] >= 1)) throw new UsageError(`bench: --${name} wants a whole number from 1, got ${v[name]}`);
  }
  const output = createOutput(v.json ?? false);
  const spec = { shape: v.shape ?? 'tale-1m', method: v.method ?? 'lora', rank: v.rank ?? 16, batch: v.batch ?? 4, seq: v.seq ?? (kind === 'step' ? 256 : 64), weights: weightsOf('bench', v.weights ?? v.dtype), ...(v.set ? { fields: pairs('bench', v.set) } : {}) } satisfies StepSpec;
  const runs = v.runs ?? 20;
  const filter = v.filter ?? '';
  const device = await openDevice(v['adapter-backend'], output);
  if (kind === 'kernels') return benchKernels(device, { shape: v.shape, batch: v.batch, seq: v.seq, rank: spec.rank, runs, filter }, output);
  if (kind === 'linalg') await benchLinalg(device, { filter, rank: v.rank ?? 64, runs }, output);
  else if (kind === 'growth') await benchGrowth(device, spec, runs, filter, output);
  else if (kind === 'peers') await benchPeers(device, spec, runs, filter, output);
  else if (spec.method === 'all') await benchMethods(device, { ...spec, runs, filter }, output);
  else await benchStep(device, { ...spec, runs, profile: v.profile ?? false }, output);
  return 0;
}

