// The regular expressions of an adapter_config.json, which are Python's, matched without backtracking. An adapter comes from
// anywhere, and a pattern like (a+)+$ would stop a RegExp for ever: here all positions a match can reach are followed at once,
// so the work is bounded, and a budget bounds it again.
import type { StudioError } from '../util/errors';
import { bad, show } from './fail';

type Node =
  | { kind: 'char'; test: (c: string) => boolean }
  | { kind: 'place'; test: (text: string, at: number) => boolean }
  | { kind: 'all'; nodes: Node[] }
  | { kind: 'any'; nodes: Node[] }
  | { kind: 'repeat'; node: Node; min: number; max: number }
  | { kind: 'look'; node: Node; negative: boolean };

/** Positions looked at by one matcher in all; the patterns of real adapters need a few thousand a module. */
const BUDGET = 10_000_000;
const MAX_DEPTH = 100;
const TODO = 'write target_modules as a list of module names';

/** `re.fullmatch(pattern, text) is not None`. Throws a CheckpointError for what is not understood, never guesses. */
export function fullMatcher(pattern: string, where: string): (text: string) => boolean {
  const node = parse(pattern, where);
  let left = BUDGET;
  return (text) => {
    const spend = (work: number) => {
      left -= work;
      if (left < 0) throw bad(where, 'the regular expression takes too long to match', show(pattern), TODO);
    };
    return ends(node, text, new Set([0]), spend).has(text.length);
  };
}

/** A pattern that matches exactly this text. */
export function escapeRegex(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}

/** Where a match of `node` that began at one of `from` can end. */
function ends(node: Node, text: string, from: ReadonlySet<number>, spend: (work: number) => void): ReadonlySet<number> {
  spend(from.size + 1);
  switch (node.kind) {
    case 'char': return new Set([...from].filter((at) => at < text.length && node.test(text[at]!)).map((at) => at + 1));
    case 'place': return new Set([...from].filter((at) => node.test(text, at)));
    case 'look': return new Set([...from].filter((at) => ends(node.node, text, new Set([at]), spend).size > 0 !== node.negative));
    case 'all': return node.nodes.reduce((at, next) => (at.size > 0 ? ends(next, text, at, spend) : at), from);
    case 'any': return new Set(node.nodes.flatMap((next) => [...ends(next, text, from, spend)]));
    case 'repeat': {
      // The next set depends on this one alone, so one that stays the same stays so for good, whatever the count.
      let now = from;
      for (let round = 0; round < node.min && now.size > 0; round++) {
        const next = ends(node.node, text, now, spend);
        if (next.size === now.size && [...next].every((at) => now.has(at))) break;
        now = next;
      }
      const reached = new Set(now);
      for (let round = node.min; round < node.max && now.size > 0; round++) {
        now = new Set([...ends(node.node, text, now, spend)].filter((at) => !reached.has(at)));
        for (const at of now) reached.add(at);
      }
      return reached;
    }
  }
}

const isDigit = (c: string) => /\p{Nd}/u.test(c);
const isSpace = (c: string) => /\s/.test(c);
const isWord = (c: string) => /[\p{L}\p{N}_]/u.test(c);
const CLASSES: ReadonlyMap<string, (c: string) => boolean> = new Map([
  ['d', isDigit], ['s', isSpace], ['w', isWord],
  ['D', (c: string) => !isDigit(c)], ['S', (c: string) => !isSpace(c)], ['W', (c: string) => !isWord(c)],
]);
const CONTROLS: ReadonlyMap<string, string> = new Map([['n', '\n'], ['t', '\t'], ['r', '\r'], ['f', '\f'], ['v', '\v'], ['a', '\x07']]);

const isEnd = (text: string, at: number) => at === text.length;
const isEdge = (text: string, at: number) => isWord(text[at - 1] ?? ' ') !== isWord(text[at] ?? ' ');
const PLACES: ReadonlyMap<string, (text: string, at: number) => boolean> = new Map([
  ['A', (_: string, at: number) => at === 0], ['Z', isEnd], ['b', isEdge], ['B', (text: string, at: number) => !isEdge(text, at)],
]);

function parse(pattern: string, where: string): Node {
  let at = 0;
  let depth = 0;
  const fail = (wrong: string): StudioError => bad(where, `the regular expression ${wrong} at character ${at}`, show(pattern), TODO);
  const take = (text: string) => {
    const found = pattern.startsWith(text, at);
    if (found) at += text.length;
    return found;
  };

  function alternatives(): Node {
    if (++depth > MAX_DEPTH) throw fail(`has more than ${MAX_DEPTH} nested groups`);
    const nodes = [sequence()];
    while (take('|')) nodes.push(sequence());
    depth--;
    return nodes.length === 1 ? nodes[0]! : { kind: 'any', nodes };
  }

  function sequence(): Node {
    const nodes: Node[] = [];
    while (at < pattern.length && pattern[at] !== '|' && pattern[at] !== ')') nodes.push(repeated());
    return { kind: 'all', nodes };
  }

  function repeated(): Node {
    const node = atom();
    const counts = quantifier();
    if (!counts) return node;
    if (node.kind === 'place') throw fail('repeats a place');
    // Lazy or greedy makes no difference to whether a match exists; possessive does.
    take('?');
    if (pattern[at] === '+') throw fail('has a possessive quantifier, which is not supported,');
    if (quantifier()) throw fail('repeats a repetition');
    return { kind: 'repeat', node, ...counts };
  }

  function quantifier(): { min: number; max: number } | null {
    if (take('*')) return { min: 0, max: Number.POSITIVE_INFINITY };
    if (take('+')) return { min: 1, max: Number.POSITIVE_INFINITY };
    if (take('?')) return { min: 0, max: 1 };
    // A brace that is no count stands for itself, as in Python.
    const match = /^\{(\d*)(,?)(\d*)\}/.exec(pattern.slice(at, at + 40));
    if (!match || (match[1] === '' && match[2] === '')) return null;
    at += match[0].length;
    const min = Number(match[1]);
    const max = match[2] === '' ? min : match[3] === '' ? Number.POSITIVE_INFINITY : Number(match[3]);
    if (max < min) throw fail('has a count that ends before it begins');
    return { min, max };
  }

  function atom(): Node {
    const c = pattern[at]!;
    if (c === '(') return group();
    if (c === '[') return { kind: 'char', test: characterClass() };
    if (quantifier()) throw fail('has nothing to repeat');
    at++;
    if (c === '.') return { kind: 'char', test: (x) => x !== '\n' };
    if (c === '^') return { kind: 'place', test: (_, place) => place === 0 };
    if (c === '$') return { kind: 'place', test: (text, place) => isEnd(text, place) || (place === text.length - 1 && text[place] === '\n') };
    if (c !== '\\') return { kind: 'char', test: (x) => x === c };
    const place = PLACES.get(pattern[at] ?? '');
    if (place) {
      at++;
      return { kind: 'place', test: place };
    }
    const item = escaped();
    return { kind: 'char', test: typeof item === 'string' ? (x) => x === item : item };
  }

  function group(): Node {
    at++;
    let look: 'positive' | 'negative' | null = null;
    if (take('?=')) look = 'positive';
    else if (take('?!')) look = 'negative';
    else if (pattern[at] === '?' && !take('?:')) {
      const name = /^\?P<\w+>/.exec(pattern.slice(at, at + 100));
      if (!name) throw fail('has a kind of group that is not supported');
      at += name[0].length;
    }
    const node = alternatives();
    if (!take(')')) throw fail('has a group that is not closed');
    return look ? { kind: 'look', node, negative: look === 'negative' } : node;
  }

  /** What follows a backslash: one character, or a class of them. */
  function escaped(): string | ((c: string) => boolean) {
    const c = pattern[at];
    if (c === undefined) throw fail('ends in a backslash');
    const known = CLASSES.get(c) ?? CONTROLS.get(c);
    if (known === undefined && /[A-Za-z0-9]/.test(c)) throw fail(`has \\${c}, which is not supported,`);
    at++;
    return known ?? c;
  }

  function characterClass(): (c: string) => boolean {
    at++;
    const negative = take('^');
    const tests: ((c: string) => boolean)[] = [];
    for (let first = true; first || pattern[at] !== ']'; first = false) {
      if (at >= pattern.length) throw fail('has a set that is not closed');
      const low = setItem();
      if (typeof low !== 'string') tests.push(low);
      else if (pattern[at] === '-' && at + 1 < pattern.length && pattern[at + 1] !== ']') {
        at++;
        const high = setItem();
        if (typeof high !== 'string' || high < low) throw fail('has a range that ends before it begins');
        tests.push((c) => c >= low && c <= high);
      } else tests.push((c) => c === low);
    }
    at++;
    return (c) => tests.some((test) => test(c)) !== negative;
  }

  function setItem(): string | ((c: string) => boolean) {
    return take('\\') ? escaped() : pattern[at++]!;
  }

  const node = alternatives();
  if (at < pattern.length) throw fail("has a ')' too many");
  return node;
}
