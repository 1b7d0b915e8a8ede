// lowrank data: a data file as a run would see it. Needs no GPU.
import { defaultTraining } from '../../training/config';
import { need, parse } from '../options';
import { createOutput } from '../output';
import { configOf, describeFolder } from '../session';
import { columnsOf, dataSource } from '../sources';
import { chooseTask, datasetFor, taskNamed } from '../task';

export async function data(args: readonly string[]): Promise<number> {
  const { values: v } = parse('data', args, { model: 'text', task: 'text', data: 'text', columns: 'text', seq: 'number', batch: 'number', seed: 'number', 'held-out': 'number', test: 'number', pack: 'flag', template: 'text' });
  const output = createOutput(v.json ?? false);
  const columns = columnsOf('data', v.columns);
  const model = need('data', 'model', v.model);
  const file = await dataSource(need('data', 'data', v.data), output);
  const task = await chooseTask('data', v.task, await configOf(model, output), [file], columns, { template: v.template });
  const loaded = await describeFolder(model, output, task);
  const options = {
    seq: v.seq ?? defaultTraining.seq, batch: v.batch ?? defaultTraining.batch, seed: v.seed ?? defaultTraining.seed, holdout: v['held-out'] ?? 0.1, test: v.test ?? 0, pack: v.pack ?? false,
  };
  const progress = (done: number, total: number) => output.progress(`reading ${Math.round((100 * done) / total)} %`);
  const { summary } = await datasetFor(loaded, file, null, options, columns, { progress }, taskNamed('data', v.task));
  const { preview, cells: _, pictures, ...facts } = summary;
  const used = Object.entries(summary.used).map(([role, column]) => `${role}=${column}`).join(', ');
  const rows = preview.map((row, i) => `  ${String(i + 1).padStart(2)}  ${row.tokens.map((token, t) => (row.loss[t] ? token : `·${token}`)).join('').replace(/\s+/g, ' ').slice(0, 160)}`);
  output.event({ event: 'data', ...facts, ...(pictures ? { pictures: { size: pictures.size, channels: pictures.channels } } : {}) }, [
    `${summary.rows} rows (${summary.form}${used === '' ? '' : `: ${used}`}): ${summary.trainRows} to train on, ${summary.validationRows} held out, ${summary.testRows} kept for a test`,
    `${summary.tokens} tokens, ${summary.cutTokens} of them cut off; padding ${percent(summary.packing.on ? summary.packing.packedPadding : summary.packing.padding)}${summary.packing.on ? `, ${summary.packing.rows} rows packed into ${summary.packing.packedRows}` : ''}`,
    ...(summary.classes ?? []).slice(0, 20).map(({ label, train, validation, test }) => `  ${label}: ${train} / ${validation} / ${test}`),
    ...rows,
    `file   ${summary.hash}`, `tokens ${summary.tokensHash}`,
    ...summary.warnings.map((warning) => `note: ${warning}`),
  ].join('\n'));
  return 0;
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
