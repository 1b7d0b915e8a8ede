// The same run as a command: what `lowrank finetune` is asked for this draft.
import { defaultTraining, type RunConfig } from '../../store/contract';
import { setting } from '../format';

/** Quoted where a shell would read it otherwise. */
const quoted = (text: string) => (/^[\w./:=-]+$/.test(text) ? text : `'${text.replace(/'/g, `'\\''`)}'`);

export function commandOf({ model, data, method, targets, training }: RunConfig): string {
  const modelPath = model.kind === 'builtin' ? `public/models/${model.id}` : model.name;
  const dataPath = data.kind === 'builtin' ? `public/data/${data.id}` : data.name;
  const parts = [
    'lowrank finetune', `--model ${quoted(modelPath)}`, `--data ${quoted(dataPath)}`, `--method ${method.slug}`,
    ...Object.entries(method.fields).map(([name, value]) => `--set ${quoted(`${name}=${typeof value === 'number' ? setting(value) : value}`)}`),
    ...(targets === '' ? [] : [`--targets ${quoted(targets)}`]),
    `--steps ${training.steps}`, `--batch ${training.batch}`, `--seq ${training.seq}`, `--lr ${setting(training.lr)}`, `--seed ${training.seed}`,
    ...(training.evalEvery === defaultTraining.evalEvery ? [] : [`--eval-every ${training.evalEvery}`]),
    `--out out/${method.slug}`,
  ];
  return parts.join(' ');
}
