// The method and its controls, drawn from its card alone; and the training block.
import { ExternalLink } from 'lucide-react';
import { useState } from 'react';
import { type FieldValue, type MethodCard, type TrainingConfig, tasks } from '../../store/contract';
import { useApp, useStudio } from '../context';
import { FieldControl } from '../controls/FieldControl';
import { Icon } from '../controls/Icon';
import { Segmented } from '../controls/Segmented';
import { citation, matches, notFor } from '../methods/catalogue';
import { strings } from '../strings';
import { MethodGlyph } from './MethodGlyph';
import { SchedulePlot } from './SchedulePlot';
import { mainFields, moreFields, PRESETS, type Preset, presetOf, sampleFields } from './training-fields';

const words = strings.build;
/** From here on a list of methods is easier searched than read. */
const MANY = 9;
/** Controls of a method that are shown at once. */
const FEW = 5;

export function MethodPane() {
  const { edit } = useApp();
  const methods = useStudio((state) => state.engine.methods);
  const slug = useStudio((state) => state.project.draft.method.slug);
  const card = methods.find((method) => method.slug === slug);
  return (
    <section className="pane" aria-label={words.method}>
      <div className="ph"><span className="no">3</span><h2>{words.method}</h2><span className="end"><button type="button" className="btn ghost" onClick={() => edit.open('methods')}>{words.allMethods(methods.length)}</button></span></div>
      <div className="pb-scroll">
        <MethodList methods={methods} slug={slug} />
        {/* All at once when the methods are known: what comes later must not push what is there. */}
        {card && (
          <>
            <MethodFacts card={card} />
            <div className="rule" />
            <OwnControls card={card} />
            <div className="rule" />
            <TrainingControls />
          </>
        )}
      </div>
    </section>
  );
}

function MethodList({ methods, slug }: { methods: readonly MethodCard[]; slug: string }) {
  const { edit } = useApp();
  const [filter, setFilter] = useState('');
  const model = useStudio((state) => state.project.model.card);
  return (
    <div className="pb">
      {methods.length >= MANY && <input className="box search" aria-label={words.methodFilter} placeholder={words.methodFilter} value={filter} onChange={(event) => setFilter(event.target.value)} />}
      <div role="radiogroup" aria-label={words.method} className="methods">
        {methods.map((method) => (
          // A method that does not match, or not this model, is dimmed and stays where it is, so that one learns the places.
          // biome-ignore lint/a11y/useSemanticElements: a tile with a glyph, pressed as one.
          <button
            key={method.slug} type="button" role="radio" aria-checked={method.slug === slug} className={matches(method, filter) && !notFor(model, method) ? 'method' : 'method dimmed'}
            data-testid={`method-${method.slug}`} title={notFor(model, method) || method.summary} onClick={() => edit.method(method.slug)}
          >
            <MethodGlyph family={method.family} size={26} />
            <span className="ell">{method.name}</span>
            <span className="hint num">{method.paper.year}</span>
          </button>
        ))}
      </div>
    </div>
  );
}

function MethodFacts({ card }: { card: MethodCard }) {
  const model = useStudio((state) => state.project.model.card);
  const trouble = notFor(model, card);
  return (
    <div className="pb method-facts">
      <h3 className="method-name">{card.name}</h3>
      <p className="dim fs12">{card.summary}</p>
      <p className="dim fs12"><b>{strings.methods.goodFor}</b> {card.goodFor}</p>
      {trouble && <p className="warn fs12">{trouble}</p>}
      <a className="cite fs12" href={card.paper.url} target="_blank" rel="noreferrer" title={card.paper.title}>
        {citation(card)} <Icon of={ExternalLink} size={11} />
      </a>
      <pre className="formula">{card.formula}</pre>
    </div>
  );
}

function OwnControls({ card }: { card: MethodCard }) {
  const { edit } = useApp();
  const values = useStudio((state) => state.project.draft.method.fields);
  const entries = Object.entries(card.fields);
  // A long list is opened by who wants it; one or two more are simply shown.
  const shown = entries.length > FEW + 2 ? FEW : entries.length;
  const control = ([name, field]: (typeof entries)[number]) => <FieldControl key={name} name={name} field={field} value={values[name] ?? field.default} onChange={(value) => edit.field(name, value)} />;
  return (
    <div className="pb">
      <div className="sub"><h3>{words.own}</h3><span className="hint">{words.ownHint(entries.length)}</span></div>
      {entries.slice(0, shown).map(control)}
      {entries.length > shown && (
        <details className="more" open={entries.slice(shown).some(([name]) => values[name] !== undefined) || undefined}>
          <summary>{words.ownMore(entries.length - shown)}</summary>
          {entries.slice(shown).map(control)}
        </details>
      )}
    </div>
  );
}

function TrainingControls() {
  const { edit } = useApp();
  const training = useStudio((state) => state.project.draft.training);
  const sample = useStudio((state) => state.project.draft.sample);
  const context = useStudio((state) => state.project.model.card?.context ?? 512);
  const { unit, writes } = useStudio((state) => tasks[state.project.draft.task]) as { unit: string; writes: boolean };
  const preset = presetOf(training);
  const put = (name: string, value: FieldValue) => edit.training({ [name]: value } as Partial<TrainingConfig>);
  // A tick shows the value of the preset nearest to hand: the chosen one, or the default.
  const usual = { ...moreDefaults, ...PRESETS.balanced, ...(preset ? PRESETS[preset] : {}) } as Record<string, FieldValue>;
  const control = ([name, field]: [string, Parameters<typeof FieldControl>[0]['field']]) => (
    <FieldControl key={name} name={name} field={field} value={training[name as keyof TrainingConfig] ?? field.default} usual={usual[name] ?? field.default} onChange={(value) => put(name, value)} />
  );
  return (
    <div className="pb">
      <div className="sub">
        <h3>{words.training}</h3>
        <span className="end">
          <Segmented
            label={words.presetsLabel} value={preset} onChange={(name) => edit.training(PRESETS[name as Preset])}
            options={(Object.keys(PRESETS) as Preset[]).map((name) => ({ value: name, label: words.presets[name], testid: `preset-${name}` }))}
          />
        </span>
      </div>
      {Object.entries(mainFields(context)).filter(([name]) => name !== 'seq' || unit !== 'picture').map(control)}
      <div className="sub"><h3>{words.schedule}</h3></div>
      <SchedulePlot />
      <details className="more">
        <summary>{words.more}</summary>
        {Object.entries(moreFields).map(control)}
        {writes && Object.entries(sampleFields).map(([name, field]) => (
          <FieldControl key={name} name={`sample-${name}`} field={field} value={sample[name as keyof typeof sample]} onChange={(value) => edit.sample({ [name]: value })} />
        ))}
      </details>
      <p className="hint fs12">{words.ticks}</p>
    </div>
  );
}

const moreDefaults = Object.fromEntries(Object.entries(moreFields).map(([name, field]) => [name, field.default]));
