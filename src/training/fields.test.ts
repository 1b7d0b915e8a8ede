import { describe, expect, test } from 'vitest';
import { ConfigError } from '../util/errors';
import { type Fields, resolveFields } from './fields';

const fields = {
  rank: { kind: 'int', label: 'Rank', help: '', default: 8, min: 1, max: 256 },
  alpha: { kind: 'float', label: 'Alpha', help: '', default: 16, min: 0.125, max: 1024 },
  train: { kind: 'bool', label: 'Train', help: '', default: true },
  scaling: { kind: 'choice', label: 'Scaling', help: '', default: 'a', options: [{ value: 'a', label: 'A' }, { value: 'b', label: 'B' }] },
} satisfies Fields;

/** The error as a person reads it: message and hint. */
function refusal(given: Record<string, unknown>): string {
  try {
    resolveFields('method test', fields, given);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return `${(error as ConfigError).message} | ${(error as ConfigError).hint}`;
  }
  throw new Error(`${JSON.stringify(given)} was taken`);
}

test('what is left out gets its default; the ends of a range belong to it', () => {
  expect(resolveFields('m', fields, {})).toEqual({ rank: 8, alpha: 16, train: true, scaling: 'a' });
  expect(resolveFields('m', fields, { rank: 1, alpha: 1024, train: false, scaling: 'b' })).toEqual({ rank: 1, alpha: 1024, train: false, scaling: 'b' });
  expect(resolveFields('m', fields, { rank: undefined })).toMatchObject({ rank: 8 });
  expect(resolveFields('m', fields, { rank: 256, alpha: 0.125 })).toMatchObject({ rank: 256, alpha: 0.125 });
});

describe('every refusal names the field, what was given, and what may be given', () => {
  test.each([
    ['rank', 0, 'from 1 to 256'], ['rank', 257, 'from 1 to 256'], ['rank', 2.5, 'from 1 to 256'], ['rank', '8', 'from 1 to 256'], ['rank', null, 'from 1 to 256'],
    ['rank', Number.NaN, 'from 1 to 256'], ['rank', Number.POSITIVE_INFINITY, 'from 1 to 256'], ['rank', true, 'from 1 to 256'],
    ['alpha', 0.1, 'from 0.125 to 1024'], ['alpha', -1, 'from 0.125 to 1024'], ['alpha', Number.NaN, 'from 0.125 to 1024'], ['alpha', [16], 'from 0.125 to 1024'],
    ['train', 1, 'true or false'], ['train', 'true', 'true or false'],
    ['scaling', 'c', 'a, b'], ['scaling', 1, 'a, b'],
  ])('%s = %s', (name, value, range) => {
    const said = refusal({ [name]: value });
    expect(said).toContain(`method test.${name}`);
    expect(said).toContain(typeof value === 'number' ? String(value) : JSON.stringify(value));
    expect(said).toContain(range);
  });

  test.each(['rnak', 'constructor', 'toString', '__proto__x'])('an unknown field: %s', (name) => {
    const said = refusal({ [name]: 1 });
    expect(said).toContain(`'${name}'`);
    expect(said).toContain('rank, alpha, train, scaling');
  });
});
