// Plans the memory of one recording before a device is touched: which commands are needed at all, and which step tensors
// may share a buffer because one is dead before the next is born.
import { StudioError } from '../../util/errors';
import { roundUp } from '../gpu/device';
import { fuse } from './fuse';
import { type Command, writesOf } from './graph';
import { type Recompute, recompute } from './recompute';
import { type Tensor, byteLength, describe } from './tensor';

export interface MemoryPlan {
  readonly commands: readonly Command[];
  /** Buffer number of each step tensor, by tensor id. */
  readonly buffers: ReadonlyMap<number, number>;
  /** Bytes of each buffer. */
  readonly sizes: readonly number[];
  /** Sum of `sizes`. */
  readonly bytes: number;
  /** What one buffer a tensor would have taken. */
  readonly bytesWithoutSharing: number;
  /** Ids of the tensors that still hold their numbers after the run. */
  readonly kept: ReadonlySet<number>;
}

/** Commands that lead to a lasting tensor or to one of `keep`, in their order. */
function needed(commands: readonly Command[], keep: ReadonlySet<number>): Command[] {
  const wanted = new Set(keep);
  const kept: Command[] = [];
  for (let i = commands.length - 1; i >= 0; i--) {
    const command = commands[i] as Command;
    if (!writesOf(command).some((t) => t.life !== 'step' || wanted.has(t.id))) continue;
    kept.push(command);
    for (const t of command.tensors) wanted.add(t.id);
  }
  return kept.reverse();
}

/**
 * `keep`: tensors that must hold their numbers after the run. `placed`: tensors that live elsewhere (an arena slice) and count as kept.
 * Buffers are shared by best fit, with as much slack as suits this graph best.
 */
export interface PlanOptions {
  /** false gives every tensor a buffer of its own. */
  readonly share?: boolean;
  readonly recompute?: Recompute;
}

export function plan(all: readonly Command[], keep: readonly Tensor[], placed: readonly Tensor[] = [], { share = true, recompute: mode = 'cheap' }: PlanOptions = {}): MemoryPlan {
  const placedIds = new Set(placed.map((t) => t.id));
  const keptIds = new Set([...keep, ...placed].map((t) => t.id));
  const commands = recompute(fuse(needed(all, keptIds), keptIds), mode, keptIds);
  checkOrigins(commands);

  const last = new Map<number, number>();
  commands.forEach((command, i) => {
    for (const t of command.tensors) if (t.life === 'step') last.set(t.id, keptIds.has(t.id) ? Number.POSITIVE_INFINITY : i);
  });
  const plans = (share ? SLACK : [0]).map((slack) => assign(commands, last, placedIds, slack));
  const { buffers, sizes, bytesWithoutSharing } = plans.reduce((a, b) => (total(b.sizes) < total(a.sizes) ? b : a));
  return { commands, buffers, sizes, bytes: total(sizes), bytesWithoutSharing, kept: keptIds };
}

/** How many times too large a buffer may be for what it is given; none is best for every graph, and trying them costs little. */
const SLACK = [1, 1.25, 2, 4, Number.POSITIVE_INFINITY];
const total = (sizes: readonly number[]) => sizes.reduce((a, b) => a + b, 0);

/** Buffers for the step tensors of `commands`: each takes the smallest free one that is large enough but not `slack` times as large. */
function assign(commands: readonly Command[], last: ReadonlyMap<number, number>, placedIds: ReadonlySet<number>, slack: number) {
  const buffers = new Map<number, number>();
  const sizes: number[] = [];
  const free: number[] = [];
  let bytesWithoutSharing = 0;
  commands.forEach((command, i) => {
    for (const t of command.tensors) {
      if (t.life !== 'step' || buffers.has(t.id) || placedIds.has(t.id)) continue;
      const size = roundUp(byteLength(t), ALIGN);
      bytesWithoutSharing += size;
      let fitting: number | undefined;
      for (const b of free) if ((sizes[b] as number) >= size && (sizes[b] as number) <= slack * size && (fitting === undefined || (sizes[b] as number) < (sizes[fitting] as number))) fitting = b;
      if (fitting !== undefined) {
        free.splice(free.indexOf(fitting), 1);
        buffers.set(t.id, fitting);
      } else {
        buffers.set(t.id, sizes.length);
        sizes.push(size);
      }
    }
    for (const t of new Set(command.tensors)) {
      if (last.get(t.id) === i && buffers.has(t.id)) free.push(buffers.get(t.id) as number);
    }
  });
  return { buffers, sizes, bytesWithoutSharing };
}

/** A step tensor that is read before anything wrote it comes from another recording: its buffer would hold leftovers. */
function checkOrigins(commands: readonly Command[]): void {
  const written = new Set<number>();
  for (const command of commands) {
    for (const t of writesOf(command)) written.add(t.id);
    const stray = command.tensors.find((t) => t.life === 'step' && !written.has(t.id));
    if (stray) throw new StudioError(`${command.family.name}: nothing in this graph computes ${describe(stray)}`, 'A step tensor belongs to the graph that recorded it; carry numbers over in a param or input tensor.');
  }
}

const ALIGN = 256;
