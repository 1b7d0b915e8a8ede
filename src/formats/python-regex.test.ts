import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CheckpointError } from '../util/errors';
import { escapeRegex, fullMatcher } from './python-regex';

const matches = (pattern: string, text: string) => fullMatcher(pattern, 'here')(text);

describe('patterns of real adapters', () => {
  it('tells modules apart', () => {
    const vision = '^(model(?!.*(lm_head|output|emb|wte|shared)).*)';
    expect(matches(vision, 'model.layers.0.self_attn.q_proj')).toBe(true);
    expect(matches(vision, 'model.embed_tokens')).toBe(false);
    const layers = String.raw`(?:.*?(?:language|text).*?(?:self_attn|mlp).*?(?:k_proj|v_proj).*?)|(?:\bmodel\.layers\.[\d]{1,}\.(?:self_attn|mlp)\.(?:(?:q_proj|k_proj)))`;
    expect(matches(layers, 'model.layers.11.self_attn.q_proj')).toBe(true);
    expect(matches(layers, 'model.layers.x.self_attn.q_proj')).toBe(false);
    expect(matches(layers, 'model.language_model.layers.0.self_attn.v_proj')).toBe(true);
    expect(matches(layers, 'model.vision.layers.0.self_attn.v_proj')).toBe(false);
    expect(matches(String.raw`.*\.(?P<part>q|k)_proj`, 'a.k_proj')).toBe(true);
  });

  it('matches the whole text only', () => {
    expect(matches('q_proj', 'a.q_proj')).toBe(false);
    expect(matches('q_proj', 'q_proj2')).toBe(false);
    expect(matches('^q$|k', 'q')).toBe(true);
    expect(matches('a{,2}', 'aaa')).toBe(false);
    expect(matches('a{,2}b{2}c{2,}', 'abbccc')).toBe(true);
    expect(matches('x{}', 'x{}')).toBe(true);
    expect(matches('[^]a-]', 'b')).toBe(true);
    expect(matches('[]a-]+', ']a-')).toBe(true);
  });
});

describe('a hostile pattern', () => {
  it('ends at once where a backtracking matcher would not in a lifetime', () => {
    const text = `${'a'.repeat(500)}!`;
    const start = performance.now();
    for (const pattern of ['(a+)+', '(a|a)*', '(a|aa)+', '((a*)*)*', '(.*)*x', '(?=(a+)+b)a*', '(a{1,500}){1,500}']) expect(matches(pattern, text)).toBe(false);
    expect(performance.now() - start).toBeLessThan(5000);
  });

  it('counts without end, then stops', () => {
    expect(matches('(a?){1000000000}', 'aaa')).toBe(true);
    expect(matches('(a){1000000000}', 'aaa')).toBe(false);
    expect(() => matches('(?:(?!.*b).)*x', 'a'.repeat(20_000))).toThrow(/takes too long/);
    expect(() => matches('('.repeat(5000) + ')'.repeat(5000), '')).toThrow(/nested/);
  });

  it.each(['(', ')', '(a', '[a', 'a**', '*a', 'a++', '\\', '(?<=a)b', '(?i)a', '\\1', '\\q', '[b-a]', 'a{2,1}', '(?P=x)', 'a+{2}', '{2}', '^*', 'a???'])('%s is refused by name', (pattern) => {
    expect(() => matches(pattern, 'a')).toThrow(CheckpointError);
  });
});

it('agrees with RegExp wherever both understand the pattern', () => {
  const leaf = fc.constantFrom('a', 'b', '.', '\\.', '\\w', '\\d', '[ab]', '[^a]', '\\b', '^', '$', '(?=a)', '(?!b)', '\\B');
  const { pattern } = fc.letrec<{ pattern: string }>((tie) => ({
    pattern: fc.oneof({ maxDepth: 4, withCrossShrink: true }, leaf,
      fc.tuple(tie('pattern'), tie('pattern')).map(([x, y]) => x + y),
      fc.tuple(tie('pattern'), tie('pattern')).map(([x, y]) => `(?:${x}|${y})`),
      fc.tuple(tie('pattern'), fc.constantFrom('*', '+', '?', '*?', '{2}', '{1,3}')).map(([x, q]) => `(${x})${q}`)),
  }));
  const text = fc.string({ unit: fc.constantFrom('a', 'b', '.', '1'), maxLength: 8 });
  fc.assert(fc.property(pattern, text, (p, t) => {
    expect(matches(p, t)).toBe(new RegExp(`^(?:${p})$`).test(t));
  }), { numRuns: 5000 });
});

it('matches exactly the text it escaped', () => {
  fc.assert(fc.property(fc.string(), fc.string(), (a, b) => {
    expect(matches(escapeRegex(a), a)).toBe(true);
    expect(matches(escapeRegex(a), b)).toBe(a === b);
  }));
});
