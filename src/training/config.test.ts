import { describe, expect, test } from 'vitest';
import { ConfigError } from '../util/errors';
import { defaultRun, parseRunConfig } from './config';

/** The default configuration with one place, named by its path, set to another value; `undefined` takes it out. */
function changed(path: string, value: unknown): unknown {
  const copy = structuredClone(defaultRun) as unknown as Record<string, unknown>;
  const keys = path.split('.');
  const last = keys.pop()!;
  const at = keys.reduce<Record<string, unknown>>((place, key) => place[key] as Record<string, unknown>, copy);
  if (value === undefined) delete at[last];
  else at[last] = value;
  return copy;
}

function refusal(json: unknown): string {
  try {
    parseRunConfig(json);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).message;
  }
  throw new Error(`${JSON.stringify(json)} was taken`);
}

test('the default configuration is one, and survives a trip through JSON', () => {
  expect(parseRunConfig(JSON.parse(JSON.stringify(defaultRun)))).toEqual(defaultRun);
});

test.each([
  ['training.steps', 1], ['training.warmup', 0], ['training.clip', 0], ['training.weightDecay', 0], ['training.seed', 2 ** 32 - 1], ['training.beta1', 0], ['training.lr', 1e30],
  ['holdout', 0], ['holdout', 0.5], ['targets', ''], ['training.schedule', 'cosine'], ['model', { kind: 'files', name: 'x' }], ['sample.temperature', 0],
])('the edge %s = %s is inside', (path, value) => {
  expect(parseRunConfig(changed(path, value))).toEqual(changed(path, value));
});

describe('every refusal names the place, what was given, and what may be given', () => {
  test.each([
    ['training.steps', 0, '>=1'], ['training.steps', 1e7, '<=1000000'], ['training.steps', 2.5, 'int'], ['training.steps', '3', 'number'], ['training.steps', undefined, 'number'],
    ['training.batch', 0, '>=1'], ['training.batch', -4, '>=1'], ['training.batch', 4097, '<=4096'],
    ['training.seq', 1, '>=2'],
    ['training.lr', 0, '>0'], ['training.lr', -1e-3, '>0'], ['training.lr', 1e31, '<=1e+30'], ['training.lr', Number.NaN, 'number'], ['training.lr', Number.POSITIVE_INFINITY, 'number'],
    ['training.schedule', 'step', '"constant"|"linear"|"cosine"'],
    ['training.warmup', -1, '>=0'], ['training.weightDecay', 1.5, '<=1'], ['training.clip', -1, '>=0'], ['training.beta1', 1, '<1'], ['training.beta2', -0.1, '>=0'], ['training.eps', 0, '>0'],
    ['training.seed', -1, '>=0'], ['training.seed', 2 ** 32, '<=4294967295'], ['training.evalEvery', 0.5, 'int'], ['training.saveEvery', -1, '>=0'],
    ['holdout', 0.6, '<=0.5'], ['version', 2, '1'], ['targets', 7, 'string'],
    ['method.slug', '', '>=1'], ['method.fields.rank', null, 'number'], ['model', { kind: 'web', id: 'x' }, '"builtin"'], ['data', 'king-james', 'object'],
    ['sample.maxTokens', 0, '>=1'], ['sample.temperature', 6, '<=5'], ['sample.every', -1, '>=0'],
  ])('%s = %s', (path, value, range) => {
    const said = refusal(changed(path, value));
    expect(said).toMatch(/^run config: /);
    expect(said).toContain(path);
    expect(said).toContain(`got ${typeof value === 'number' ? value : JSON.stringify(value)}`);
    expect(said).toContain(range);
  });

  test.each([null, 3, 'config', [], {}])('something else altogether: %j', (json) => {
    expect(refusal(json)).toMatch(/^run config: /);
  });
});
