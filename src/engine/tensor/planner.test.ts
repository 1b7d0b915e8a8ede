// Memory plans: never two live tensors in one buffer, dead commands dropped, and no result that depends on sharing.
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../gpu/device';
import { kernel } from '../gpu/kernel';
import { testDevice } from '../testing/device';
import { network } from '../testing/network';
import { type Family, single } from './family';
import type { Command } from './graph';
import { plan } from './planner';
import { compile } from './step';
import { type Tensor, byteLength, tensor } from './tensor';

/** A family that reads and writes as its letters say: 'rrw' binds two tensors to read and one to write. */
function family(access: string): Family {
  const bindings = [...access].map((letter, i) => `@group(0) @binding(${i}) var<storage, ${letter === 'r' ? 'read' : 'read_write'}> t${i}: array<f32>;`);
  return single(kernel(`test/${access}`, bindings.join('\n'), () => [1]));
}
const command = (access: string, ...tensors: Tensor[]): Command => ({ family: family(access), tensors, params: {}, flops: 0 });
const step = (label: string, size = 64) => tensor(label, [size], 'step');
const param = (label: string) => tensor(label, [64], 'param');

describe('what is needed', () => {
  const [x, p] = [param('x'), param('p')];

  it('drops commands that lead to nothing kept', () => {
    const [a, b, dead, deader] = [step('a'), step('b'), step('dead'), step('deader')];
    const commands = [command('rw', x, a), command('rw', a, dead), command('rw', a, b), command('rw', dead, deader)];
    expect(plan(commands, [b]).commands).toEqual([commands[0], commands[2]]);
    expect(plan(commands, []).commands).toEqual([]);
  });

  it('keeps what writes a lasting tensor, and what that reads', () => {
    const a = step('a');
    const commands = [command('rw', x, a), command('rw', a, p), command('w', step('dead'))];
    expect(plan(commands, []).commands).toEqual(commands.slice(0, 2));
  });

  it('keeps a later change of a kept tensor', () => {
    const a = step('a');
    const commands = [command('w', a), command('rw', x, a)];
    expect(plan(commands, [a]).commands).toEqual(commands);
  });

  it('takes placed tensors for kept and gives them no buffer', () => {
    const [a, g] = [step('a'), step('g')];
    const commands = [command('rw', x, a), command('rw', a, g)];
    const memory = plan(commands, [], [g]);
    expect(memory.commands).toEqual(commands);
    expect([...memory.buffers.keys()]).toEqual([a.id]);
    expect([...memory.kept]).toEqual([g.id]);
  });

  it('refuses a step tensor that nothing in the graph computes', () => {
    expect(() => plan([command('rw', step('stray'), p)], [])).toThrow('test/rw: nothing in this graph computes stray [64]');
  });
});

describe('buffers', () => {
  it('are reused when their tensor is dead, not while a command reads it', () => {
    const [x, a, b, c] = [param('x'), step('a'), step('b'), step('c')];
    const { buffers, sizes, bytes, bytesWithoutSharing } = plan([command('rw', x, a), command('rw', a, b), command('rw', b, c)], [c]);
    expect(buffers.get(a.id)).not.toBe(buffers.get(b.id));
    expect(buffers.get(a.id)).toBe(buffers.get(c.id));
    expect([sizes.length, bytes, bytesWithoutSharing]).toEqual([2, 512, 768]);
  });

  it('are not taken by what would waste more than half', () => {
    const [x, large, small, after] = [param('x'), step('large', 1000), step('small', 64), step('after', 900)];
    const { buffers } = plan([command('rw', x, large), command('rw', large, small), command('rw', small, after)], [after]);
    expect(buffers.get(small.id)).not.toBe(buffers.get(large.id));
    expect(buffers.get(after.id)).toBe(buffers.get(large.id));
  });
});

/** A command of a random list: how many earlier tensors it reads, what it writes, and whether it changes one in place. */
const shapeOfCommand = fc.record({ reads: fc.array(fc.nat(), { maxLength: 3 }), sizes: fc.array(fc.integer({ min: 1, max: 2000 }), { maxLength: 2 }), changes: fc.option(fc.nat()), lasting: fc.boolean() });

/** Commands over step tensors and two params, and all tensors they write. */
function randomCommands(shapes: readonly { reads: number[]; sizes: number[]; changes: number | null; lasting: boolean }[]): { commands: Command[]; tensors: Tensor[]; params: Tensor[] } {
  const params = [param('p'), param('q')];
  const tensors: Tensor[] = [];
  const commands: Command[] = [];
  for (const { reads, sizes, changes, lasting } of shapes) {
    const known = [...params, ...tensors];
    const changed = changes !== null && tensors.length > 0 ? [tensors[changes % tensors.length] as Tensor] : [];
    const outputs = [...sizes.map((size) => step('t', size)), ...changed, ...(lasting ? [params[0] as Tensor] : [])];
    const inputs = reads.map((i) => known[i % known.length] as Tensor).filter((t) => !outputs.includes(t));
    if (outputs.length === 0) continue;
    commands.push(command('r'.repeat(inputs.length) + 'w'.repeat(outputs.length), ...inputs, ...outputs));
    tensors.push(...outputs.slice(0, sizes.length));
  }
  return { commands, tensors, params };
}

const nameOf = (t: Tensor) => `${t.label} ${t.id}`;

/** Plays commands on cells of memory: each writes to its outputs a text of what it is and what stood in all its tensors. */
function play(commands: readonly Command[], cellOf: (t: Tensor) => string | number, names: ReadonlyMap<Command, number>): Map<string | number, string> {
  const memory = new Map<string | number, string>();
  const written = new Set<number>();
  for (const c of commands) {
    const { bindings } = c.family.reflection;
    // A tensor that is written for the first time holds nothing, whatever its buffer held before.
    const before = c.tensors.map((t) => (t.life === 'step' && !written.has(t.id) ? '' : (memory.get(cellOf(t)) ?? `initial ${nameOf(t)}`)));
    c.tensors.forEach((t, i) => {
      if (bindings[i]?.access !== 'read_write') return;
      written.add(t.id);
      memory.set(cellOf(t), digest(`${names.get(c)}.${i}(${before.join()})`));
    });
  }
  return memory;
}

function digest(text: string): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0;
  return `${hash} ${text.length}`;
}

describe('any list of commands', () => {
  it('gives the same numbers in shared buffers as in buffers of their own', () => {
    fc.assert(fc.property(fc.array(shapeOfCommand, { maxLength: 25 }), fc.array(fc.nat(), { maxLength: 4 }), (shapes, kept) => {
      const { commands, tensors, params } = randomCommands(shapes);
      const keep = tensors.length === 0 ? [] : kept.map((i) => tensors[i % tensors.length] as Tensor);
      const names = new Map(commands.map((c, i) => [c, i]));
      const memory = plan(commands, keep);
      const own = play(commands, nameOf, names);
      const cell = (t: Tensor) => (t.life === 'step' ? (memory.buffers.get(t.id) as number) : nameOf(t));
      const shared = play(memory.commands, cell, names);
      for (const t of keep) expect(shared.get(cell(t))).toBe(own.get(nameOf(t)));
      for (const t of params) expect(shared.get(nameOf(t))).toBe(own.get(nameOf(t)));
    }), { numRuns: 400 });
  });

  it('never has two tensors of one command in a buffer, nor a tensor in a buffer too small', () => {
    fc.assert(fc.property(fc.array(shapeOfCommand, { maxLength: 25 }), (shapes) => {
      const { commands, tensors } = randomCommands(shapes);
      const { buffers, sizes, commands: needed, bytes, bytesWithoutSharing } = plan(commands, tensors.slice(-2));
      for (const { tensors: bound } of needed) {
        const ids = new Set(bound.filter((t) => t.life === 'step').map((t) => t.id));
        expect(new Set([...ids].map((id) => buffers.get(id))).size).toBe(ids.size);
      }
      for (const t of tensors) if (buffers.has(t.id)) expect(sizes[buffers.get(t.id) as number]).toBeGreaterThanOrEqual(byteLength(t));
      expect(bytes).toBeLessThanOrEqual(bytesWithoutSharing);
      expect(plan(commands, tensors.slice(-2), [], { share: false }).bytes).toBe(bytesWithoutSharing);
    }), { numRuns: 200 });
  });
});

describe('a real network', () => {
  let device: Device;
  beforeAll(async () => {
    device = await testDevice();
  });

  it('computes the same bits with sharing as without, in less memory', async () => {
    const net = network(device);
    const run = async (share: boolean) => {
      const { graph, loss, logits, hidden, gradients } = net.record();
      const step = await compile(device, graph, { keep: [loss, logits, hidden, ...gradients], share });
      step.run(net.batch(0), { seed: 1, step: 1 });
      const values: Float32Array[] = [];
      for (const t of [loss, logits, hidden, ...gradients]) values.push(await step.read(t));
      step.dispose();
      return { values, bytes: step.cost.bytes };
    };
    const [shared, own] = [await run(true), await run(false)];
    expect(shared.values).toEqual(own.values);
    expect(shared.values.flatMap((v) => [...v]).every(Number.isFinite)).toBe(true);
    expect(shared.bytes).toBeLessThan(0.7 * own.bytes);
  });
});
