// The loop itself: what it tells and in which order, pausing and stopping at any moment, and what stands where it ends.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../engine/gpu/device';
import { scheduleShare } from '../engine/optim/schedule';
import { write } from '../engine/tensor/memory';
import { testDevice } from '../engine/testing/device';
import { bytesSource, openSafetensors } from '../formats/safetensors';
import { letters } from '../methods/testing/letters';
import { type RunSetup, type TestData, createRun, numbersOf, randomBatch, sameBytes, seriesOf, startOf, trained } from '../methods/testing/runs';
import { normals } from '../methods/testing/random';
import { LLAMA, loadTiny } from '../methods/testing/tiny';
import type { RunEvent } from './events';
import { type LoadedModel, freeWeights } from './loaded';

let device: Device;
let loaded: LoadedModel;
beforeAll(async () => {
  device = await testDevice();
  loaded = await loadTiny(device);
});
afterAll(() => freeWeights(device, loaded));

const setup = (more: Partial<RunSetup> = {}): RunSetup => ({ device, loaded, slug: 'lora', targets: 'q_proj', fields: { rank: 2 }, ...more });
const ofKind = <K extends RunEvent['kind']>(events: readonly RunEvent[], kind: K) => events.filter((event): event is Extract<RunEvent, { kind: K }> => event.kind === kind);

/** Rows whose number of labels tells the step: step s has 1 + (s mod 11). */
const telling: TestData = {
  batch: (at) => {
    const { input_ids } = randomBatch(`telling ${at % 5}`, [1, 12]);
    const labels = Int32Array.from(input_ids, (id, i) => (i >= 1 && i <= 1 + ((at + 1) % 11) ? id : -100));
    return { input_ids, labels };
  },
};
const tokensAt = (step: number) => 1 + (step % 11);
const oneRow = { batch: 1, seq: 12 };

/** Every step once, in order, each with its own numbers. */
function expectWhole(events: readonly RunEvent[], steps: number): void {
  let next = 1;
  for (const { from, series, values } of ofKind(events, 'metrics')) {
    expect(from).toBe(next);
    expect(values.length % series.length).toBe(0);
    next += values.length / series.length;
  }
  expect(next).toBe(steps + 1);
  const { tokens } = seriesOf(events);
  expect(tokens).toEqual(Array.from({ length: steps }, (_, i) => tokensAt(i + 1)));
}

describe('metrics', () => {
  test('arrive once for every step, in order, over more steps than the ring is long', async () => {
    // The least model there is, so that 1,100 steps are quick; the ring has 1,024 rows.
    const least = await loadTiny(device, { ...LLAMA, num_hidden_layers: 1, hidden_size: 8, intermediate_size: 8, num_attention_heads: 1, num_key_value_heads: 1 });
    await trained(setup({ loaded: least, data: telling, training: { ...oneRow, steps: 1100 } }), ({ events, series }) => {
      expectWhole(events, 1100);
      expect(series.loss!.every(Number.isFinite)).toBe(true);
      expect(ofKind(events, 'metrics').length).toBeGreaterThan(1);
    });
    freeWeights(device, least);
    // Half a minute on a slow driver, and more where the machine is busy.
  }, 300_000);

  test('are the same however often the run pauses, and nothing is lost or told twice', async () => {
    const training = { ...oneRow, steps: 24, saveEvery: 1 };
    const calm = await trained(setup({ data: telling, training }), ({ series }) => series);
    const pauses: number[] = [];
    await trained(setup({
      data: telling, training,
      save: (_, step, run) => { if (step % 3 === 0) run.pause(); },
      watch: (event, run) => { if (event.kind === 'status' && event.status === 'paused') { pauses.push(event.step); setTimeout(() => run.resume(), 1); } },
    }), ({ events, series, reason }) => {
      expect(reason).toBe('finished');
      expectWhole(events, 24);
      expect(series).toEqual(calm);
      // Paused means that every number up to there has been told.
      let told = 0;
      for (const event of events) {
        if (event.kind === 'metrics') told = event.from + event.values.length / event.series.length - 1;
        if (event.kind === 'status' && event.status === 'paused') expect(told).toBe(event.step);
      }
    });
    expect(pauses).toEqual([3, 6, 9, 12, 15, 18, 21]);
  });

  test.each(['constant', 'linear', 'cosine'] as const)('report the learning rate that was used (%s)', async (schedule) => {
    // With β₁ = β₂ = 0 Adam moves every number by the rate itself, against the sign of its gradient.
    const training = { steps: 7, lr: 0.03, schedule, warmup: 3, beta1: 0, beta2: 0, saveEvery: 1 };
    const at = setup({ training });
    const start = await startOf(at, (name, was) => (name.endsWith('lora_B') ? normals(was.length, name, 0.2) : was));
    const states: Promise<Map<string, Float32Array>>[] = [numbersOf(start)];
    await trained({ ...at, resume: start, save: (bytes) => { states.push(numbersOf(bytes)); } }, async ({ series }) => {
      const numbers = await Promise.all(states);
      series.lr!.forEach((lr, i) => {
        expect(lr).toBeCloseTo(0.03 * scheduleShare(schedule, i + 1, 7, 3), 8);
        for (const name of ['lora_A', 'lora_B'].map((part) => `model.layers.0.self_attn.q_proj.${part}`)) {
          const [was, is, g] = [numbers[i]!.get(`param.${name}`)!, numbers[i + 1]!.get(`param.${name}`)!, numbers[i + 1]!.get(`adam.m.${name}`)!];
          // ε = 1e-8 shortens a step by ε / |gradient|; a difference of two f32 below 1 is exact to 6e-8.
          is.forEach((x, j) => { if (Math.abs(g[j]!) > 1e-4) expect(Math.abs(Math.abs(x - was[j]!) - lr), `step ${i + 1}`).toBeLessThan(1e-4 * lr + 1e-7); });
        }
      });
    });
  });
});

describe('pausing', () => {
  /** Pauses at step 3, and lets go of it as soon as the loop, on its way into the pause, hands on its last numbers. */
  const hasty = (then: 'resume' | 'stop') => {
    let [asked, changed] = [false, false];
    const watch: RunSetup['watch'] = (event, run) => {
      if (event.kind === 'eval' && event.step === 3) {
        asked = true;
        run.pause();
      } else if (asked && !changed && event.kind === 'metrics') {
        changed = true;
        run[then]();
      } else if (event.kind === 'status' && event.status === 'paused') setTimeout(() => run[then](), 1);
    };
    const data = { batch: () => randomBatch('one'), validation: () => [randomBatch('one')] };
    return trained(setup({ data, training: { steps: 30, evalEvery: 3 }, watch }), ({ reason, events }) => {
      // Numbers that had all come in before leave nothing to be hasty about: then the pause is reached as it should be.
      expect(ofKind(events, 'status').filter(({ status }) => status === 'paused')).toHaveLength(changed ? 0 : 1);
      return reason;
    });
  };

  test('and going on before the pause was reached goes on', async () => expect(await hasty('resume')).toBe('finished'));
  test('and stopping before the pause was reached stops', async () => expect(await hasty('stop')).toBe('stopped'));

  test('stopping while paused ends the run; statuses come in order', async () => {
    const at = setup({ training: { steps: 50, saveEvery: 2 }, save: (_, step, run) => { if (step === 2) run.pause(); }, watch: (event, run) => { if (event.kind === 'status' && event.status === 'paused') setTimeout(() => run.stop(), 1); } });
    await trained(at, ({ run, events, reason }) => {
      expect(reason).toBe('stopped');
      expect(run.step).toBe(2);
      expect(ofKind(events, 'status').map(({ status, step }) => `${status} ${step}`)).toEqual(['running 0', 'paused 2', 'stopped 2']);
      expect(ofKind(events, 'ended')).toHaveLength(1);
      expect(events.at(-1)!.kind).toBe('ended');
    });
  });
});

test('evaluations come at the start, where they are due, and at the end, each once', async () => {
  const data = { batch: () => randomBatch('one'), validation: () => [randomBatch('held'), randomBatch('out')] };
  await trained(setup({ data, training: { steps: 9, evalEvery: 3 } }), ({ events }) => {
    expect(ofKind(events, 'eval').map(({ step }) => step)).toEqual([0, 3, 6, 9]);
  });
  await trained(setup({ data: { batch: data.batch }, training: { steps: 3, evalEvery: 1 } }), ({ events }) => expect(ofKind(events, 'eval')).toEqual([]));
});

test('samples come with adapters off and on; before the first step both are the same text', async () => {
  const named = { ...loaded, tokenizer: letters() };
  const sample = { prompt: 'HELLO', maxTokens: 8, temperature: 0.7, every: 4 };
  await trained(setup({ loaded: named, targets: '', samples: true, sample, training: { steps: 8, lr: 0.1 } }), async ({ run, events }) => {
    const shown = ofKind(events, 'sample').map((event) => event.sample);
    expect(shown.map(({ step }) => step)).toEqual([0, 4, 8]);
    expect(shown[0]!.on).toBe(shown[0]!.off);
    expect(new Set(shown.map(({ off }) => off)).size).toBe(1);
    expect(shown[2]!.on).not.toBe(shown[2]!.off);
    // An ended run still writes.
    expect(await run.sample('HELLO', 8, 0.7)).toEqual(shown[2]);
  });
});

test('a step that went bad is never saved as done, even where every step is saved', async () => {
  const spoilt = await loadTiny(device);
  const saved: number[] = [];
  const save = (_: Uint8Array, step: number) => {
    saved.push(step);
    const { tensor: t } = spoilt.network.weights.get('model.norm.weight')!;
    if (step === 2) write(device, t, new Float32Array(32).fill(Number.POSITIVE_INFINITY));
  };
  await trained(setup({ loaded: spoilt, training: { steps: 30, saveEvery: 1 }, save }), ({ reason, run }) => {
    expect(reason).toBe('failed');
    expect(String(run.error)).toContain('step 3:');
  });
  expect(saved).toEqual([1, 2, 2]);
  freeWeights(device, spoilt);
});

test('a checkpoint asked for while the run goes on is the state of one step', async () => {
  const training = { steps: 24, saveEvery: 1 };
  const saved = new Map<number, Uint8Array>();
  await trained(setup({ targets: 'mlp', training, save: (bytes, step) => { saved.set(step, bytes); } }), () => {});
  // The same run again, with nobody to save for: it does not stop to be looked at.
  const { run } = await createRun(setup({ targets: 'mlp', training }));
  const asked: Promise<Uint8Array>[] = [];
  const timer = setInterval(() => asked.push(run.checkpoint()), 20);
  await run.train();
  clearInterval(timer);
  const between = new Set<string>();
  for (const bytes of await Promise.all(asked)) {
    const { metadata } = await openSafetensors(bytesSource('c', bytes));
    const step = Number(metadata.step);
    if (step === 0) continue;
    between.add(String(step));
    expect(sameBytes(bytes, saved.get(step)!), `step ${step}`).toBe(true);
  }
  expect(between.size).toBeGreaterThan(0);
  run.dispose();
});

test('where saving fails the run fails with that error, and still ends', async () => {
  const full = new Error('the disk is full');
  await trained(setup({ training: { steps: 5, saveEvery: 2 }, save: () => { throw full; } }), ({ run, reason, events }) => {
    expect(reason).toBe('failed');
    expect(run.error).toBe(full);
    expect(events.at(-1)).toMatchObject({ kind: 'ended', reason: 'failed', step: 2, error: { message: 'the disk is full' } });
  });
});

test('two runs on one model do not see each other', async () => {
  const alone = await trained(setup({ training: { steps: 6 } }), ({ series }) => series.loss);
  const [a, b] = [await createRun(setup({ training: { steps: 6 } })), await createRun(setup({ slug: 'sora', fields: {}, targets: '', training: { steps: 6, lr: 0.1 } }))];
  await Promise.all([a.run.train(), b.run.train()]);
  expect(seriesOf(a.events).loss).toEqual(alone);
  for (const { run } of [a, b]) run.dispose();
});

test('a run whose validation loss does not fall ends by its patience, says so, and a resumed one ends at the same step', async () => {
  const at = setup({ data: { ...telling, validation: () => [randomBatch('held out', [1, 12])] }, training: { ...oneRow, steps: 20, lr: 1e-30, evalEvery: 2, saveEvery: 3, patience: 3 } });
  const saved: Uint8Array[] = [];
  await trained({ ...at, save: (bytes) => { saved.push(bytes); } }, ({ reason, run, events }) => {
    expect([reason, run.step]).toEqual(['stopped', 6]);
    expect(ofKind(events, 'note').map((note) => note.text)).toEqual([expect.stringMatching(/^No validation loss below \d\.\d{3} in 3 evaluations: stopped\.$/)]);
  });
  await trained({ ...at, resume: saved[0]! }, ({ reason, run }) => expect([reason, run.step]).toEqual(['stopped', 6]));
});
