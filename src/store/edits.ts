// What the user changes by hand: the draft and the layout.
import { resolveFields } from '../training/fields';
import {
  type BuiltinData, type BuiltinModel, type Columns, type DataSource, CONTRAST, DEFAULT_TEMPLATE, defaultRun, readsPictures, type TaskName, type FieldValue, type MethodCard, type ModelSource, type RunConfig, type TrainingConfig,
} from './contract';
import type { LayoutSlice, Panel } from './slices/layout';
import { patch, type StudioStore } from './studio';

export interface Edits {
  model(source: ModelSource): void;
  data(source: DataSource): void;
  method(slug: string): void;
  field(name: string, value: FieldValue): void;
  training(change: Partial<TrainingConfig>): void;
  targets(pattern: string): void;
  holdout(share: number): void;
  test(share: number): void;
  /** Which column is what; {} leaves it to the usual names. */
  columns(columns: Columns): void;
  pack(on: boolean): void;
  /** What the model learns, and the text of a class where pictures are sorted by texts. */
  task(task: TaskName): void;
  template(text: string): void;
  /** Of pairs of texts: what cosines are multiplied by, and whether second texts look for their first ones too. */
  scale(value: number): void;
  symmetric(on: boolean): void;
  /** How frozen weights are kept; the model is loaded anew. */
  weights(kind: NonNullable<RunConfig['weights']>): void;
  sample(change: Partial<RunConfig['sample']>): void;
  name(name: string): void;
  open(panel: Panel): void;
  layout(change: Partial<LayoutSlice>): void;
}

export function edits(store: StudioStore): Edits {
  const edit = (change: Partial<RunConfig>) => patch(store, 'project', { draft: { ...store.getState().project.draft, ...change }, startError: null });
  const draft = () => store.getState().project.draft;
  return {
    model: (model) => {
      const { engine, project: { draft: { data } } } = store.getState();
      const chosen = model.kind === 'builtin' ? engine.models.find((entry) => entry.id === model.id) : undefined;
      const set = data.kind === 'builtin' ? engine.data.find((entry) => entry.id === data.id) : undefined;
      const fits = (entry: BuiltinData) => readsPictures(chosen?.kind ?? '') === (entry.format === 'pictures');
      // Built-in data that the new model cannot read make way for some that it can.
      const other = chosen && set && !fits(set) ? engine.data.find(fits) : undefined;
      edit({ model, ...(other ? { data: { kind: 'builtin', id: other.id }, columns: undefined } : {}) });
    },
    data: (data) => {
      const { engine, project } = store.getState();
      edit({ data, columns: undefined });
      // Built-in data bring a prompt that shows what they teach; the user's own prompt stays.
      const builtin = data.kind === 'builtin' ? engine.data.find((entry) => entry.id === data.id) : undefined;
      if (builtin && !project.promptEdited) edit({ sample: { ...draft().sample, prompt: builtin.prompt } });
    },
    method: (slug) => {
      if (slug !== draft().method.slug) edit({ method: { slug, fields: keptFields(store.getState().engine.methods, slug, draft().method.fields) } });
    },
    field: (name, value) => {
      const card = store.getState().engine.methods.find((method) => method.slug === draft().method.slug);
      const { [name]: _, ...others } = draft().method.fields;
      // A field at its default is left out: links stay short, and a later default applies.
      edit({ method: { ...draft().method, fields: card?.fields[name]?.default === value ? others : { ...others, [name]: value } } });
    },
    training: (change) => edit({ training: { ...draft().training, ...change } }),
    targets: (targets) => edit({ targets }),
    holdout: (holdout) => edit({ holdout }),
    test: (test) => edit({ test: test === 0 ? undefined : test }),
    columns: (columns) => edit({ columns: Object.keys(columns).length === 0 ? undefined : columns }),
    pack: (pack) => edit({ pack: pack || undefined }),
    task: (task) => edit({ task, columns: undefined }),
    weights: (kind) => edit({ weights: kind === 'f32' ? undefined : kind }),
    template: (template) => edit({ template: template === DEFAULT_TEMPLATE ? undefined : template }),
    scale: (scale) => edit({ scale: scale === CONTRAST.scale ? undefined : scale }),
    symmetric: (on) => edit({ symmetric: on || undefined }),
    sample: (change) => {
      edit({ sample: { ...draft().sample, ...change } });
      if (change.prompt !== undefined) patch(store, 'project', { promptEdited: true });
    },
    name: (name) => edit({ name }),
    open: (panel) => patch(store, 'layout', { panel }),
    layout: (change) => patch(store, 'layout', change),
  };
}

/** Fields that the new method has too, with values it takes: rank and alpha usually carry over. */
function keptFields(methods: readonly MethodCard[], slug: string, fields: RunConfig['method']['fields']): RunConfig['method']['fields'] {
  const card = methods.find((method) => method.slug === slug);
  const kept: Record<string, FieldValue> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (!card?.fields[name]) continue;
    try {
      resolveFields(slug, card.fields, { [name]: value });
      kept[name] = value;
    } catch {
      // Out of the new method's range: its own default applies.
    }
  }
  return kept;
}

/** A draft whose built-in model, data and method exist in these catalogues, and the parts that had to be replaced. */
export function fitted(draft: RunConfig, engine: Readonly<Record<'models', readonly BuiltinModel[]> & Record<'data', readonly BuiltinData[]> & Record<'methods', readonly MethodCard[]>>): { draft: RunConfig; replaced: string[] } {
  const replaced: string[] = [];
  let { model, data, method, sample } = draft;
  if (model.kind === 'builtin' && engine.models.length > 0 && !engine.models.some((entry) => entry.id === (model as { id: string }).id)) {
    replaced.push(model.id);
    model = { kind: 'builtin', id: (engine.models[0] as { id: string }).id };
  }
  if (data.kind === 'builtin' && engine.data.length > 0 && !engine.data.some((entry) => entry.id === (data as { id: string }).id)) {
    replaced.push(data.id);
    data = { kind: 'builtin', id: (engine.data[0] as BuiltinData).id };
  }
  const card = engine.methods.find((entry) => entry.slug === method.slug) ?? engine.methods[0];
  if (card) {
    if (card.slug !== method.slug) replaced.push(method.slug);
    const fields = keptFields(engine.methods, card.slug, method.fields);
    for (const name of Object.keys(method.fields)) if (!(name in fields)) replaced.push(`${method.slug}.${name}`);
    method = { slug: card.slug, fields };
  }
  const builtin = data.kind === 'builtin' ? engine.data.find((entry) => entry.id === (data as { id: string }).id) : undefined;
  if (builtin && sample.prompt === defaultRun.sample.prompt) sample = { ...sample, prompt: builtin.prompt };
  return { draft: { ...draft, model, data, method, sample }, replaced };
}
