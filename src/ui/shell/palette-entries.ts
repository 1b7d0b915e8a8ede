// What the palette finds, and how: made from the same declarations that draw the controls.
import { toast } from 'sonner';
import type { StudioApp } from '../../store/app';
import type { Field, FieldValue, Fields, RunConfig } from '../../store/contract';
import { toHash } from '../../store/link';
import type { EngineSlice } from '../../store/slices/engine';
import { PANELS } from '../../store/slices/layout';
import { activeRun, type RunsSlice } from '../../store/slices/runs';
import { commandOf } from '../build/command';
import { mainFields, moreFields, sampleFields } from '../build/training-fields';
import { resetZoom } from '../charts/chart-state';
import { saveFile } from '../controls/save-file';
import { scaleOf } from '../controls/scale';
import { setting } from '../format';
import { strings } from '../strings';
import { recipes } from '../train/recipes';
import { setNotify } from './notify';
import { openOverlay } from './overlays';
import { platformKeys } from './platform';
import { tell } from './tell';

export interface PaletteEntry {
  id: string;
  group: 'parameters' | 'methods' | 'runs' | 'views';
  label: string;
  hint: string;
  /** Words it is found by, beside the label. */
  also: string;
  value: string;
  keys?: string;
  /** A setting of another method than the chosen one: shown, not changed. */
  other?: boolean;
  field?: Field;
  run(app: StudioApp): void;
  set?(value: FieldValue): void;
  /** The next value up or down. */
  step?(by: 1 | -1): void;
}

const words = strings.palette;
const said = (value: FieldValue) => (typeof value === 'number' ? setting(value) : typeof value === 'boolean' ? (value ? strings.common.on : strings.common.off) : value);

interface Seen { draft: RunConfig; engine: Pick<EngineSlice, 'methods' | 'data' | 'models'>; runs: RunsSlice; context: number }

/** All that entries show of runs, as one string. */
export const runsSaid = ({ order, byId }: RunsSlice): string => JSON.stringify(order.map((id) => byId[id]).map((run) => run && [run.id, run.name, run.labels, run.remark, run.tags, run.interrupted, run.status]));

export function entriesOf(app: StudioApp, { draft, engine, runs, context }: Seen): PaletteEntry[] {
  const { edit } = app;
  const own = engine.methods.find((method) => method.slug === draft.method.slug);
  const parameter = (id: string, name: string, field: Field, value: FieldValue, set: (value: FieldValue) => void, also = ''): PaletteEntry => ({
    id, group: 'parameters', label: field.label, hint: field.help, also: `${name} ${also}`, value: said(value), field, set, step: (by) => set(stepped(field, value, by)), run: () => show(app, id),
  });
  const block = (prefix: string, fields: Fields, values: Record<string, unknown>, set: (change: Record<string, FieldValue>) => void) =>
    Object.entries(fields).map(([name, field]) => parameter(`${prefix}${name}`, name, field, (values[name] ?? field.default) as FieldValue, (value) => set({ [name]: value })));
  const ownNames = new Set(Object.keys(own?.fields ?? {}));
  const others = engine.methods.filter((method) => method !== own).flatMap((method) => Object.entries(method.fields).filter(([name]) => !ownNames.has(name)).map(([name, field]): PaletteEntry => ({
    id: `other ${method.slug} ${name}`, group: 'parameters', label: field.label, hint: `${method.name}: ${field.help}`, also: `${name} ${method.name}`, value: '', other: true,
    run: () => { edit.method(method.slug); show(app, name); },
  })));
  return [
    ...Object.entries(own?.fields ?? {}).map(([name, field]) => parameter(name, name, field, draft.method.fields[name] ?? field.default, (value) => edit.field(name, value), own?.name)),
    ...block('', mainFields(context), draft.training, (change) => edit.training(change)),
    ...block('', moreFields, draft.training, (change) => edit.training(change)),
    ...block('sample-', sampleFields, draft.sample, (change) => edit.sample(change)),
    parameter('holdout', 'holdout', { kind: 'float', label: strings.build.holdout, help: strings.build.holdoutHelp, default: 0.1, min: 0, max: 0.5 }, draft.holdout, (value) => edit.holdout(Number(value))),
    ...others,
    ...engine.methods.map((method): PaletteEntry => ({
      id: `method ${method.slug}`, group: 'methods', label: method.name, hint: method.summary, also: `${method.slug} ${method.paper.authors} ${method.paper.title}`, value: strings.methods.families[method.family]?.[0] ?? method.family,
      run: () => { edit.method(method.slug); edit.open('build'); },
    })),
    ...runs.order.toReversed().map((id): PaletteEntry => {
      const run = runs.byId[id] as RunsSlice['byId'][string];
      return { id: `run ${id}`, group: 'runs', label: run.name, hint: `${run.labels.method}, ${run.labels.data} ${run.remark}`, also: run.tags.join(' '), value: run.interrupted ? strings.train.interrupted : strings.train.status[run.status], run: ({ ask }) => { ask.select(id); edit.open('train'); } };
    }),
    ...PANELS.map((panel, i): PaletteEntry => ({ id: `view ${panel}`, group: 'views', label: strings.panels[panel], hint: '', also: 'screen panel', value: '', keys: panel === 'methods' ? 'M' : panel === 'playground' ? 'P' : String(i + 1), run: () => edit.open(panel) })),
    ...recipes(engine).map(({ id, config }): PaletteEntry => ({ id: `recipe ${id}`, group: 'views', label: strings.recipes.list[id][0], hint: strings.recipes.list[id][1], also: 'question preset sample', value: '', run: ({ ask }) => { ask.giveConfig(config); edit.open('build'); } })),
    ...actions(app, draft, engine),
  ];
}

function actions({ ask, edit, store }: StudioApp, draft: RunConfig, engine: Seen['engine']): PaletteEntry[] {
  const action = (id: keyof typeof words.actions, run: () => void, keys = ''): PaletteEntry => ({ id: `action ${id}`, group: 'views', label: words.actions[id], hint: '', also: 'action', value: '', ...(keys ? { keys: platformKeys(keys) } : {}), run });
  const copy = (text: string) => void navigator.clipboard.writeText(text).then(() => toast(strings.common.copied));
  const active = () => activeRun(store.getState().runs);
  const { layout } = store.getState();
  return [
    action('train', () => void ask.train(), '⌘↵'),
    action('pause', () => { const run = active(); if (run) void tell(run.status === 'paused' ? ask.resume(run.id) : ask.pause(run.id)); }, 'Space'),
    action('stop', () => { const run = active(); if (run) void tell(ask.stop(run.id)); }, '⌘.'),
    action('compare', () => openOverlay('arms')),
    action('link', () => copy(`${location.origin}${location.pathname}${toHash(draft)}`)),
    action('save', () => saveFile('lowrank-setup.json', `${JSON.stringify(draft, null, 2)}\n`)),
    action('command', () => copy(commandOf(draft, engine.data))),
    action('theme', () => edit.layout({ theme: layout.theme === 'dark' ? 'light' : 'dark' }), 'T'),
    action('log', () => edit.layout({ logLoss: !layout.logLoss }), 'L'),
    action('zoom', resetZoom, '0'),
    action('notify', () => void setNotify(edit, !layout.notify)),
    action('device', () => openOverlay('device')),
    action('keys', () => openOverlay('keys'), '?'),
  ];
}

/** Build, with the control in view and focused, once it is there. */
function show({ edit }: StudioApp, id: string): void {
  edit.open('build');
  const look = (tries: number) => {
    const control = document.querySelector<HTMLElement>(`[data-testid="field-${id}"]`);
    if (!control) return void (tries > 0 && requestAnimationFrame(() => look(tries - 1)));
    control.closest('details')?.setAttribute('open', '');
    control.scrollIntoView({ block: 'center' });
    control.querySelector<HTMLElement>('input, button, [role=switch]')?.focus();
  };
  requestAnimationFrame(() => look(20));
}

function stepped(field: Field, value: FieldValue, by: 1 | -1): FieldValue {
  switch (field.kind) {
    case 'bool': return !value;
    case 'choice': {
      const at = field.options.findIndex((option) => option.value === value);
      return field.options[(at + by + field.options.length) % field.options.length]?.value ?? value;
    }
    default: return scaleOf(field).next(Number(value), by);
  }
}

/** "rank 16" on the entry Rank: 16. Null where the text is not a name and a value that the field takes. */
export function typedValue({ field, label, also, other }: PaletteEntry, search: string): { value: FieldValue; text: string } | null {
  const found = /^(.*\S)[\s=]+(\S+)$/.exec(search.trim());
  if (!field || other || !found || !named(`${label} ${also}`, found[1] as string)) return null;
  const word = found[2] as string;
  switch (field.kind) {
    case 'bool': {
      const value = { on: true, true: true, yes: true, off: false, false: false, no: false }[word.toLowerCase()];
      return value === undefined ? null : { value, text: said(value) };
    }
    case 'choice': {
      const option = field.options.find(({ value, label: title }) => value.startsWith(word.toLowerCase()) || title.toLowerCase().startsWith(word.toLowerCase()));
      return option ? { value: option.value, text: option.label } : null;
    }
    default: {
      const value = Number(word);
      if (!Number.isFinite(value) || value < field.min || value > field.max || (field.kind === 'int' && !Number.isInteger(value))) return null;
      return { value, text: setting(value) };
    }
  }
}

/** Every word of the search begins a word of the text. */
const named = (text: string, search: string) => {
  const known = text.toLowerCase().split(/[^\p{L}\p{N}]+/u);
  return search.toLowerCase().split(/\s+/).every((word) => known.some((other) => other.startsWith(word)));
};

/** 0: not found. The name counts most, its beginning more, other methods' settings less. */
export function score(entry: PaletteEntry, search: string): number {
  const text = search.trim().toLowerCase();
  if (text === '') return entry.other ? 0 : 1;
  const label = entry.label.toLowerCase();
  const points = typedValue(entry, search) ? 9 : label.startsWith(text) ? 8 : named(label, text) ? 6 : named(`${label} ${entry.also}`, text) ? 4 : named(`${label} ${entry.also} ${entry.hint}`, text) ? 2 : 0;
  return entry.other ? points / 2 : points;
}
