import fc from 'fast-check';
import { expect, it } from 'vitest';
import { missingRole, type Role, withRole } from './columns';

it('a role that belongs to another form makes the old ones give way', () => {
  expect(withRole({ text: 'a', label: 'b' }, 'c', 'prompt')).toEqual({ prompt: 'c' });
  expect(withRole({ prompt: 'a', completion: 'b' }, 'c', 'system')).toEqual({ prompt: 'a', completion: 'b', system: 'c' });
  expect(withRole({ prompt: 'a', completion: 'b' }, 'a', 'completion')).toEqual({ completion: 'a' });
  expect(withRole({ text: 'a' }, 'a', null)).toEqual({});
});

it('what is missing is named', () => {
  expect(missingRole({ prompt: 'a' })).toBe('completion');
  expect(missingRole({ completion: 'a' })).toBe('prompt');
  expect(missingRole({ label: 'a' })).toBe('text');
  expect(missingRole({ text: 'a', second: 'b' })).toBe('label');
  expect(missingRole({ text: 'a', second: 'b' }, true)).toBe(null);
  expect(missingRole({ tags: 'a' })).toBe('tokens');
  expect(missingRole({ text: 'a' }, true)).toBe('second');
  expect(missingRole({ text: 'a', score: 'c' })).toBe('second');
  expect(missingRole({})).toBe('text');
  for (const whole of [{ messages: 'a' }, { text: 'a' }, { text: 'a', label: 'b' }, { prompt: 'a', completion: 'b' }]) expect(missingRole(whole)).toBeNull();
});

it('whatever is chosen in whatever order, no column has two roles and no role two columns', () => {
  const role = fc.constantFrom<Role | null>('text', 'second', 'label', 'prompt', 'context', 'completion', 'system', 'messages', null);
  fc.assert(fc.property(fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), role)), (choices) => {
    const columns = choices.reduce((now, [column, chosen]) => withRole(now, column, chosen), {});
    const names = Object.values(columns);
    expect(new Set(names).size).toBe(names.length);
  }));
});
