// Joins commands of one recording where a kernel can do in its epilogue what another would do in a pass of its own: a bias, a
// residual, the low-rank branch of an adapter. Ops and methods stay plain; what may be joined is said by rules that ops supply.
import { type Command, readsOf, writesOf } from './graph';
import type { Tensor } from './tensor';

/** Joins `producer` into the `consumer` that reads its result through `binding`, as one command; null where they do not fit. */
export type Join = (consumer: Command, producer: Command, binding: string) => Command | null;
export interface FusionRule {
  /** Name of the consumer's family. */
  readonly consumer: string;
  /** Bindings through which a producer may be joined in. */
  readonly bindings: readonly string[];
  readonly join: Join;
}

const rules = new Map<string, FusionRule[]>();
export function supplyFusion(rule: FusionRule): void {
  rules.set(rule.consumer, [...(rules.get(rule.consumer) ?? []), rule]);
}

/** Two commands of one family as one, where neither waits for the other; null where they do not fit. */
export type Twin = (first: Command, second: Command) => Command | null;
const twins = new Map<string, Twin>();
export function supplyTwins(family: string, twin: Twin): void {
  twins.set(family, twin);
}

/** The tensor that a command binds under a name. */
export const bound = ({ family, tensors }: Command, name: string): Tensor => tensors[family.reflection.bindings.findIndex((b) => b.name === name)] as Tensor;
/** A command with some bindings and params replaced. */
export function rebind(command: Command, tensors: Readonly<Record<string, Tensor>>, params: Command['params'] = {}): Command {
  const { bindings } = command.family.reflection;
  return { ...command, tensors: command.tensors.map((t, i) => tensors[bindings[i]?.name ?? ''] ?? t), params: { ...command.params, ...params } };
}

const marks = ({ backward, segment }: Command) => ({ ...(backward ? { backward } : {}), ...(segment === undefined ? {} : { segment }) });

/** The commands with all joins made. A result is joined in only where nothing else reads it and it is not `kept`. */
export function fuse(commands: readonly Command[], kept: ReadonlySet<number>): Command[] {
  const uses = new Map<number, number>();
  for (const command of commands) for (const t of readsOf(command)) uses.set(t.id, (uses.get(t.id) ?? 0) + 1);
  const out: (Command | null)[] = [];
  const producers = new Map<number, number>();
  /** When each lasting tensor was written last: a producer that reads it must not move past that. */
  const lastWrite = new Map<number, number>();
  /** The command with one producer joined in, or null. */
  const joinOnce = (command: Command): Command | null => {
    for (const { bindings, join } of rules.get(command.family.name) ?? []) {
      for (const binding of bindings) {
        const t = bound(command, binding);
        const from = producers.get(t.id);
        const producer = from === undefined ? null : out[from];
        if (from === undefined || !producer || t.life !== 'step' || kept.has(t.id) || uses.get(t.id) !== 1) continue;
        if (writesOf(producer).length !== 1 || producer.tensors.some((x) => (lastWrite.get(x.id) ?? -1) > from)) continue;
        const merged = join(command, producer, binding);
        if (!merged) continue;
        out[from] = null;
        return { ...merged, flops: command.flops + producer.flops, ...marks(command) };
      }
    }
    return null;
  };
  commands.forEach((original, at) => {
    let command = original;
    for (let next = joinOnce(command); next; next = joinOnce(command)) command = next;
    for (const t of writesOf(command)) (t.life === 'step' ? producers : lastWrite).set(t.id, at);
    out.push(command);
  });
  return pairUp(out.filter((command) => command !== null));
}

/** How far back a twin is looked for: moving a command further would keep its inputs too long. */
const NEAR = 8;

/** Joins commands that lie close together; the pair stands where the later one stood. */
function pairUp(commands: readonly Command[]): Command[] {
  const out: (Command | null)[] = [];
  commands.forEach((command, at) => {
    out.push(command);
    const twin = twins.get(command.family.name);
    if (!twin) return;
    for (let before = at - 1; before >= Math.max(0, at - NEAR); before--) {
      const other = out[before];
      if (!other || other.family.name !== command.family.name) continue;
      const made = new Set(writesOf(other).map((t) => t.id));
      if (commands.slice(before + 1, at + 1).some((between) => readsOf(between).some((t) => made.has(t.id)))) continue;
      const merged = twin(other, command);
      if (!merged) continue;
      out[before] = null;
      out[at] = { ...merged, flops: other.flops + command.flops, ...marks(command) };
      return;
    }
  });
  return out.filter((command) => command !== null);
}
