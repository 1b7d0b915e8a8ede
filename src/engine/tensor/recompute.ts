// Trades time for memory: a forward result that the backward half wants again is computed a second time there instead of being kept.
// Kernels are deterministic, dropout included, so the second time gives the same bits.
import { type Command, readsOf, writesOf } from './graph';
import { type Tensor, byteLength, tensor } from './tensor';

/** none: keep everything · cheap: redo elementwise and norm kernels whose inputs are kept anyway · blocks: redo whole segments */
export type Recompute = 'none' | 'cheap' | 'blocks';

/** A smaller result is not worth a dispatch. */
const WORTH_BYTES = 2 * 2 ** 20;

export function recompute(commands: readonly Command[], mode: Recompute, kept: ReadonlySet<number>): Command[] {
  if (mode === 'none' || !commands.some((c) => c.backward)) return [...commands];
  return mode === 'cheap' ? redoCheap(commands, kept) : redoSegments(redoCheap(commands, kept), kept);
}

/** What stands for each redone tensor from some command on. */
class Renaming {
  private readonly names = new Map<number, Tensor>();
  of(t: Tensor): Tensor {
    return this.names.get(t.id) ?? t;
  }
  has(t: Tensor): boolean {
    return this.names.has(t.id);
  }
  /** The command again, writing tensors of its own. */
  redo(command: Command): Command {
    for (const t of writesOf(command)) this.names.set(t.id, tensor(`${t.label} again`, t.shape, 'step', t.dtype));
    return { ...command, tensors: command.tensors.map((t) => this.of(t)), backward: true };
  }
  apply(command: Command): Command {
    return { ...command, tensors: command.tensors.map((t) => this.of(t)) };
  }
}

function redoCheap(commands: readonly Command[], kept: ReadonlySet<number>): Command[] {
  const producer = new Map<number, Command>();
  const lastUse = new Map<number, number>();
  commands.forEach((command, at) => {
    if (!command.backward && command.family.cheap) for (const t of writesOf(command)) producer.set(t.id, command);
    for (const t of readsOf(command)) lastUse.set(t.id, at);
  });
  const renaming = new Renaming();
  const out: Command[] = [];
  commands.forEach((command, at) => {
    if (command.backward) {
      for (const t of readsOf(command)) {
        const source = producer.get(t.id);
        if (!source || renaming.has(t) || kept.has(t.id)) continue;
        const large = writesOf(source).reduce((sum, o) => sum + byteLength(o), 0) >= WORTH_BYTES;
        const alive = readsOf(source).every((x) => x.life !== 'step' || (lastUse.get(x.id) ?? -1) >= at);
        // Its inputs may have been redone themselves; then those stand for them.
        if (large && alive) out.push(renaming.redo(source));
      }
    }
    out.push(command.backward ? renaming.apply(command) : command);
  });
  return out;
}

/** Everything that a segment made for itself is made again when the backward half first asks for any of it. */
function redoSegments(commands: readonly Command[], kept: ReadonlySet<number>): Command[] {
  const segmentOf = new Map<number, number>();
  const members = new Map<number, Command[]>();
  /** Results that a later segment reads: they stay. */
  const crossing = new Set<number>();
  for (const command of commands) {
    if (command.backward) continue;
    for (const t of readsOf(command)) if (segmentOf.has(t.id) && segmentOf.get(t.id) !== command.segment) crossing.add(t.id);
    if (command.segment === undefined) continue;
    for (const t of writesOf(command)) if (t.life === 'step') segmentOf.set(t.id, command.segment);
    members.set(command.segment, [...(members.get(command.segment) ?? []), command]);
  }
  const wanted = new Set<number>();
  for (const command of commands) if (command.backward) for (const t of readsOf(command)) wanted.add(t.id);
  const renaming = new Renaming();
  const done = new Set<number>();
  const out: Command[] = [];
  for (const command of commands) {
    if (command.backward) {
      for (const t of readsOf(command)) {
        const segment = segmentOf.get(t.id);
        if (segment === undefined || done.has(segment) || crossing.has(t.id) || kept.has(t.id)) continue;
        done.add(segment);
        for (const again of neededOf(members.get(segment) as Command[], wanted, crossing)) out.push(renaming.redo(again));
      }
    }
    out.push(command.backward ? renaming.apply(command) : command);
  }
  return out;
}

/** The commands of a segment that lead to what the backward half wants, without those whose results stay anyway. */
function neededOf(commands: readonly Command[], wanted: ReadonlySet<number>, crossing: ReadonlySet<number>): Command[] {
  const needed = new Set(wanted);
  const chosen: Command[] = [];
  for (const command of [...commands].reverse()) {
    if (!writesOf(command).some((t) => needed.has(t.id) && !crossing.has(t.id))) continue;
    chosen.push(command);
    for (const t of readsOf(command)) needed.add(t.id);
  }
  return chosen.reverse();
}
