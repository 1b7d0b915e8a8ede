// The same run as a command: what `lowrank finetune` is asked for this draft.
import { type BuiltinData, DATA_ENDINGS, defaultRun, defaultTraining, type RunConfig, type TrainingConfig } from '../../store/contract';
import { setting } from '../format';

/** Quoted where a shell would read it otherwise. */
const quoted = (text: string) => (/^[\w./:=-]+$/.test(text) ? text : `'${text.replace(/'/g, `'\\''`)}'`);
/** Flags of the training block that the command knows by default, and settings that it takes by --set. */
const FLAGS = { schedule: 'schedule', warmup: 'warmup', weightDecay: 'weight-decay', clip: 'clip' } as const;
const SETTINGS = ['beta1', 'beta2', 'eps', 'stopAt', 'patience'] as const;

export function commandOf({ model, data, method, targets, training, columns = {}, holdout, test = 0, pack = false, task, template, scale, symmetric = false, weights = 'f32' }: RunConfig, catalogue: readonly BuiltinData[] = []): string {
  const changed = (name: keyof TrainingConfig) => training[name] !== defaultTraining[name];
  const fields = [...Object.entries(method.fields), ...SETTINGS.filter(changed).map((name) => [name, training[name]] as const)];
  const parts = [
    'lowrank finetune',
    `--model ${quoted(model.kind === 'builtin' ? `public/models/${model.id}` : model.kind === 'hub' ? `hub:${model.name}` : model.name)}`,
    `--data ${quoted(data.kind === 'builtin' ? builtinPath(data.id, catalogue) : data.kind === 'hub' ? `hub:${data.name}` : data.name)}`,
    ...(task === defaultRun.task ? [] : [`--task ${task}`]),
    ...(weights === 'f32' ? [] : [`--weights ${weights}`]),
    ...(template === undefined ? [] : [`--template ${quoted(template)}`]),
    ...(scale === undefined ? [] : [`--scale ${setting(scale)}`]),
    ...(symmetric ? ['--symmetric'] : []),
    ...(Object.keys(columns).length > 0 ? [`--columns ${quoted(Object.entries(columns).map(([role, column]) => `${role}=${column}`).join(','))}`] : []),
    ...(holdout === defaultRun.holdout ? [] : [`--held-out ${holdout}`]),
    ...(test > 0 ? [`--test ${test}`] : []),
    ...(pack ? ['--pack'] : []),
    `--method ${method.slug}`,
    ...fields.map(([name, value = 0]) => `--set ${quoted(`${name}=${typeof value === 'number' ? setting(value) : value}`)}`),
    ...(targets === '' ? [] : [`--targets ${quoted(targets)}`]),
    `--steps ${training.steps} --batch ${training.batch} --seq ${training.seq} --lr ${setting(training.lr)} --seed ${training.seed}`,
    ...(Object.keys(FLAGS) as (keyof typeof FLAGS)[]).filter(changed).map((name) => `--${FLAGS[name]} ${training[name]}`),
    ...(training.evalEvery > 0 ? [`--eval-every ${training.evalEvery}`] : []),
    `--out out/${method.slug}`,
  ];
  return parts.join(' ');
}

function builtinPath(id: string, catalogue: readonly BuiltinData[]): string {
  return `public/data/${id}/data.${DATA_ENDINGS[catalogue.find((entry) => entry.id === id)?.format ?? 'text']}`;
}
