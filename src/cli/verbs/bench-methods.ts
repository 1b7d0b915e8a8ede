// What each method's step costs beside LoRA's on the same device: both on models of one shape, their steps in turns.
import type { Device } from '../../engine/gpu/device';
import { methods } from '../../methods/registry';
import { StudioError } from '../../util/errors';
import type { Output } from '../output';
import { type StepSpec, median, prepareStep, timeEach } from './bench-step';

/** Rows of steps handed over without waiting, of each in turn. */
const ROUNDS = 3;
async function timeRow(device: Device, run: () => void, runs: number): Promise<number> {
  const start = performance.now();
  for (let i = 0; i < runs; i++) run();
  await device.idle();
  return (performance.now() - start) / runs;
}

/** `filter`: only methods whose slug holds it. Each gets those of the fields that it has. */
export async function benchMethods(device: Device, spec: Omit<StepSpec, 'method'> & { runs: number; filter: string }, output: Output): Promise<void> {
  const base = await prepareStep(device, { ...spec, method: 'lora', fields: {} });
  await timeEach(device, base.run, 3);
  for (const [slug, { info }] of [...methods].filter(([name]) => name.includes(spec.filter))) {
    try {
      const given = Object.fromEntries(Object.entries(spec.fields ?? {}).filter(([name]) => name in info.fields));
      const fields = { ...('rank' in info.fields ? { rank: spec.rank } : {}), ...given };
      const tried = await prepareStep(device, { ...spec, method: slug, fields: given }, {}, (done, total) => output.progress(`${slug}: compiling ${done}/${total}`));
      const [theirs, plain]: [number[], number[]] = [[], []];
      await timeEach(device, tried.run, 3);
      for (let i = 0; i < spec.runs; i++) {
        theirs.push(...(await timeEach(device, tried.run, 1)));
        plain.push(...(await timeEach(device, base.run, 1)));
      }
      const [rows, plainRows]: [number[], number[]] = [[], []];
      for (let i = 0; i < ROUNDS; i++) {
        rows.push(await timeRow(device, tried.run, spec.runs));
        plainRows.push(await timeRow(device, base.run, spec.runs));
      }
      const [ms, lora] = [median(theirs), median(plain)];
      const least = Math.min(...theirs) / Math.min(...plain);
      const row = Math.min(...rows) / Math.min(...plainRows);
      const { prepareSeconds, step } = tried;
      output.event(
        { event: 'method', method: slug, ...fields, ms, lora_ms: lora, ratio: ms / lora, ratio_least: least, ratio_in_a_row: row, prepare_s: prepareSeconds, dispatches: step.cost.dispatches, gflop: step.cost.flops / 1e9 },
        `${slug.padEnd(14)} ${ms.toFixed(2).padStart(8)} ms  ${(ms / lora).toFixed(2)} × LoRA's ${lora.toFixed(2)} (least ${least.toFixed(2)}, in a row ${row.toFixed(2)})  ${step.cost.dispatches} dispatches${prepareSeconds === null ? '' : `, prepared in ${prepareSeconds.toFixed(2)} s`}  ${JSON.stringify(fields)}`,
      );
      tried.dispose();
    } catch (error) {
      if (!(error instanceof StudioError)) throw error;
      output.event({ event: 'method', method: slug, refused: error.message }, `${slug}: ${error.message}`);
    }
  }
  base.dispose();
}
