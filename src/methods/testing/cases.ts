// How each method is tried where its defaults do not suit runs of a few steps, and the list of promises run on one tiny model.
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { testDevice } from '../../engine/testing/device';
import type { Method } from '../../training/contract';
import { freeWeights } from '../../training/loaded';
import { methods } from '../registry';
import { type Case, type Subject, checks } from './conformance';
import { faults } from './faults';
import { kinds } from './kinds';
import { type TextConfig, loadTiny } from './tiny';

const cases: Readonly<Record<string, Omit<Case, 'method'>>> = {
  lora: { fields: { rank: 4, alpha: 8 } },
  // Sixty small batches are too few for sixteen times the rate.
  'lora-plus': { fields: { rank: 4, alpha: 8, ratio: 4 }, lr: 7e-3 },
  // Its factors are large, and what is done to them shows more.
  pissa: { fields: { rank: 4, alpha: 8 }, start: 'close', spread: 0.05, lr: 5e-3 },
  // With the norm held the gradient is not the loss's own, by intention: golden.test.ts holds it to PEFT's.
  dora: { fields: { rank: 4, alpha: 8, norm: 'followed' }, jointly: { norm: 'held' }, start: 'close' },
  rslora: { fields: { rank: 4, alpha: 4 } },
  // ξ for 8,000 steps would be stretched four-hundredfold over twenty.
  sora: { fields: { rank: 4, alpha: 8, xiUnit: 'step', xi: 1e-3 } },
  vera: { fields: { rank: 256, dInitial: 0.1 }, lr: 5e-2 },
  adalora: { fields: { rank: 6, target: 4, alpha: 12 }, lr: 3e-2 },
  bitfit: { unseeded: true, lr: 5e-2 },
  full: { unseeded: true, standsIn: true, spread: 0.05, lr: 5e-3 },
  'lora-ga': { fields: { rank: 4, alpha: 2 }, start: 'close' },
  loldu: { fields: { rank: 32, sigma: 0.1 }, unseeded: true, lr: 1e-1 },
  nlora: { fields: { rank: 4, alpha: 4 }, start: 'other', unseeded: true },
  // The pull and the clipped half of the block hold the planted change back in runs this short; salt.test.ts runs it as published.
  salt: { fields: { width: 4, lambda: 1e-3, signed: true }, lr: 3e-2, spread: 0.05 },
  'lora-pro': { fields: { rank: 4, alpha: 8 } },
  // At b = 1 the scale is alpha: more of it, and the loss bends within the differences that gradients are held to.
  dylora: { fields: { rank: 2, alpha: 1, update: 'prefix' }, draws: true, spread: 0.1, lr: 8e-2 },
  lamda: { fields: { rank: 16, alpha: 16 }, start: 'close', unseeded: true, spread: 0.05, lr: 1e-2 },
  // Over sixty steps of a planted change it grows twice.
  triadaptlora: { fields: { reference: 4, initRank: 2, step: 2, maxRank: 4, alpha: 8, events: 2 }, lr: 3e-2 },
  mos: { fields: { equivalentRank: 2, alpha: 6 } },
  hydra: { fields: { scale: 2, dropout: 0 } },
  'test-delta': { start: 'close' },
  'test-masked': { draws: true, lr: 5e-2 },
  'test-growing': { lr: 5e-2 },
};
const caseOf = (method: Method): Case => ({ method, ...cases[method.info.slug] });

/** A tiny model. `changed`: layers that a planted task changes; `only` keeps the second of a kind to what its layout may change. */
export interface Model {
  readonly name: string;
  readonly kind: 'decoder' | 'encoder';
  readonly config: TextConfig;
  readonly changed: RegExp;
  readonly only?: RegExp;
  /** Methods with planted faults too. */
  readonly faulty?: boolean;
}

/** Declares the tests of every method that adapts models of this kind. */
export function conform({ name, kind, config, changed, only, faulty = false }: Model): void {
  describe(`on ${name}`, () => {
    const subject = {} as { -readonly [K in keyof Subject]: Subject[K] };
    beforeAll(async () => {
      const device = await testDevice();
      Object.assign(subject, { name, config, changed, device, loaded: await loadTiny(device, config), fresh: () => loadTiny(device, config) });
    });
    afterAll(() => freeWeights(subject.device, subject.loaded));
    afterEach(() => { vi.restoreAllMocks(); });
    const chosen = Object.entries(checks).filter(([what]) => !only || only.test(what));

    describe.each([...methods.values(), ...kinds].filter(({ info }) => info.models.includes(kind)).map((method) => ({ slug: method.info.slug, method })))('$slug', ({ method }) => {
      test.each(chosen)('%s', (_, check) => check(subject, caseOf(method)));
    });

    if (faulty) {
      describe('a planted fault is caught', () => {
        test.each(faults)('$what: $check', async ({ check, method, start }) => {
          const [what, run] = Object.entries(checks).find(([title]) => title.includes(check))!;
          const failure = await run(subject, { method, ...(start ? { start } : {}) }).then(() => null, (error: Error) => error);
          expect(failure?.name, `${what}: ${failure?.message}`).toBe('AssertionError');
        });
      });
    }
  });
}
