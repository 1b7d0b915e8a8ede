import { describe, expect, it } from 'vitest';
import { defaultRun, type RunConfig } from './contract';
import { fromHash, toHash } from './link';

const changed: RunConfig = {
  ...defaultRun,
  name: 'my run & more',
  model: { kind: 'files', name: 'SmolLM2 135M' },
  data: { kind: 'file', name: 'ships log.jsonl' },
  holdout: 0.2,
  method: { slug: 'sora', fields: { rank: 16, xi: 3e-4, rslora: true, init: 'gaussian' } },
  targets: '\\.(q_proj|v_proj)$',
  training: { ...defaultRun.training, lr: 5e-4, steps: 1000, schedule: 'cosine', seed: 4_000_000_000 },
  sample: { ...defaultRun.sample, prompt: 'Dear Diary,\n', temperature: 0 },
  task: 'image-text',
  template: 'a drawing of {}',
  scale: 12.5,
  symmetric: true,
  weights: 'int8',
};

describe('a setup in the address', () => {
  it('comes back as it was', () => {
    expect(fromHash(toHash(changed))).toEqual(changed);
    expect(fromHash(toHash(defaultRun))).toEqual(defaultRun);
  });

  it('is short for the defaults and says only what differs', () => {
    expect(toHash(defaultRun)).toBe('#v1&m=tale-1m&d=king-james&a=lora');
    expect(toHash({ ...defaultRun, training: { ...defaultRun.training, steps: 400 } })).toBe('#v1&m=tale-1m&d=king-james&a=lora&t.steps=400');
  });

  it('is no setup where the address has another hash, and names what it cannot read', () => {
    expect(fromHash('')).toBeNull();
    expect(fromHash('#section-2')).toBeNull();
    expect(() => fromHash('#v1&m=tale-1m&t.steps=lots')).toThrow(/training\.steps/);
    expect(() => fromHash('#v1&t.schedule=sideways')).toThrow(/training\.schedule/);
  });

  it('ignores keys that it does not know', () => {
    expect(fromHash('#v1&m=tale-1m&d=king-james&a=lora&t.unknown=3&zz=1&constructor.name=x&%%%')).toEqual(defaultRun);
  });
});

it('carries sources of the Hub, columns, packing and a test share, and nothing where they are as usual', () => {
  const config: RunConfig = { ...defaultRun, model: { kind: 'hub', name: 'a/b@v1' }, data: { kind: 'hub', name: 'c/d:train x.csv' }, columns: { prompt: 'question & more', completion: 'answer' }, pack: true, test: 0.2 };
  expect(fromHash(toHash(config))).toEqual(config);
  expect(toHash(defaultRun)).not.toMatch(/pack|ht=|c\./);
});
