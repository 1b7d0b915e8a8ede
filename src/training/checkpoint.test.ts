// What a run refuses to resume from, and that a refusal costs nothing.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../engine/gpu/device';
import { testDevice } from '../engine/testing/device';
import { bytesSource, openSafetensors, writeSafetensors } from '../formats/safetensors';
import { type RunSetup, createRun, edited, numbersOf, randomData, sameBytes, trained } from '../methods/testing/runs';
import { LLAMA, loadTiny, tinyTensors } from '../methods/testing/tiny';
import { CheckpointError } from '../util/errors';
import { type Live, loadCheckpoint, openCheckpoint } from './checkpoint';
import { type LoadedModel, freeWeights } from './loaded';

let device: Device;
let loaded: LoadedModel;
let good: Uint8Array;
const base = (more: Partial<RunSetup> = {}): RunSetup => ({ device, loaded, slug: 'lora', targets: 'q_proj|v_proj', fields: { rank: 4 }, training: { steps: 6 }, ...more });

beforeAll(async () => {
  device = await testDevice();
  loaded = await loadTiny(device);
  const kept: Uint8Array[] = [];
  await trained(base({ training: { steps: 6, saveEvery: 3 }, save: (bytes) => { kept.push(bytes); } }), () => {});
  good = kept[0]!;
});
afterAll(() => freeWeights(device, loaded));

test('it holds every parameter with both moments, the step, the configuration and the data’s hash', async () => {
  const numbers = await numbersOf(good);
  expect(numbers.size).toBe(4 * 2 * 3);
  const { metadata } = await openSafetensors(bytesSource('c', good));
  expect(metadata).toMatchObject({ format: 'lowrank-checkpoint-1', step: '3', data_hash: 'a'.repeat(64) });
  expect(JSON.parse(metadata.config!)).toMatchObject({ method: { slug: 'lora', fields: { rank: 4 } }, targets: 'q_proj|v_proj' });
});

test('writing it is a pure function of the state', async () => {
  const { run } = await createRun(base({ training: { steps: 6, saveEvery: 3 }, resume: good }));
  expect(run.step).toBe(3);
  expect(sameBytes(await run.checkpoint(), good)).toBe(true);
  run.dispose();
});

const rank8 = () => trained(base({ fields: { rank: 8 }, training: { steps: 1 } }), ({ checkpoint }) => checkpoint);
const sora = () => trained(base({ slug: 'sora', training: { steps: 1 } }), ({ checkpoint }) => checkpoint);
const fewer = () => trained(base({ targets: 'q_proj', training: { steps: 1 } }), ({ checkpoint }) => checkpoint);
const more = () => trained(base({ targets: '', training: { steps: 1 } }), ({ checkpoint }) => checkpoint);
const refusals: [string, () => Promise<Uint8Array>, string][] = [
  ['other data', () => edited(good, (_, was) => was, { data_hash: 'b'.repeat(64) }), 'other data'],
  ['another rank', rank8, '[8, 32], this run has [4, 32]'],
  ['another method with the same parameters and more', sora, 'no place for'],
  ['fewer targets', fewer, 'is missing'],
  ['more targets', more, 'no place for'],
  ['a model in place of a checkpoint', async () => writeSafetensors(tinyTensors(LLAMA), { format: 'pt' }), 'not a checkpoint of a run'],
  ['a step that is no number', () => edited(good, (_, was) => was, { step: 'three' }), 'step is "three"'],
  ['a negative step', () => edited(good, (_, was) => was, { step: '-1' }), 'step is "-1"'],
  ['an empty file', async () => new Uint8Array(), 'at least 8 bytes'],
  ['a file cut in its header', async () => good.slice(0, 100), 'past the end of the file'],
  ['a file cut in its last tensor', async () => good.slice(0, -1), 'the data run past the end of the file'],
  ['a file with something behind it', async () => Uint8Array.from([...good, 0]), 'after the last tensor'],
];

describe.each(refusals)('%s', (_, make, words) => {
  test('is refused, and no byte stays on the device', async () => {
    const bytes = await make();
    const before = device.bytes;
    const refused = createRun(base({ resume: bytes }));
    await expect(refused).rejects.toThrow(CheckpointError);
    await expect(refused).rejects.toThrow(words);
    expect(device.bytes).toBe(before);
  });

  test('leaves a run that stands as it was', async () => {
    const bytes = await make();
    const { run } = await createRun(base({ resume: good }));
    const before = await run.checkpoint();
    // The parts that Run.create hands to it.
    const { live } = run as unknown as { live: Live };
    const read = async () => loadCheckpoint(device, live, await openCheckpoint(bytesSource('c', bytes), 'a'.repeat(64), 'f32'));
    await expect(read()).rejects.toThrow(CheckpointError);
    expect(sameBytes(await run.checkpoint(), before)).toBe(true);
    run.dispose();
  });
});

test('a resumed run that has nothing left to do ends as finished, with the state it came with', async () => {
  const whole = await trained(base(), ({ checkpoint }) => checkpoint);
  await trained(base({ resume: whole }), ({ reason, checkpoint, series }) => {
    expect(reason).toBe('finished');
    expect(series.loss).toBeUndefined();
    expect(sameBytes(checkpoint, whole)).toBe(true);
  });
});

test('data with another hash are not those of the run', async () => {
  const refused = createRun(base({ resume: good, data: { ...randomData, hash: 'c'.repeat(64) } }));
  await expect(refused).rejects.toThrow('other data (aaaaaaaaaaaa…, now cccccccccccc…)');
});
