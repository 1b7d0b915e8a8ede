// All methods on one board, by family: filters dim and never move, so that places are learned. One is open at the right.
import { ExternalLink, Search } from 'lucide-react';
import { type KeyboardEvent, useRef, useState } from 'react';
import type { Field, MethodCard } from '../../store/contract';
import type { RunRecord } from '../../store/slices/runs';
import { MethodGlyph } from '../build/MethodGlyph';
import { useApp, useShallowStudio, useStudio } from '../context';
import { Icon } from '../controls/Icon';
import { loss, setting } from '../format';
import { overlays } from '../shell/overlays';
import { lastValidation } from '../shell/run-view';
import { strings } from '../strings';
import { citation, families, matches, notFor } from './catalogue';

const words = strings.methods;

export function MethodsPanel() {
  const methods = useStudio((state) => state.engine.methods);
  const chosen = useStudio((state) => state.project.draft.method.slug);
  const model = useStudio((state) => state.project.model.card);
  const [family, setFamily] = useState('');
  const [text, setText] = useState('');
  const [exact, setExact] = useState(false);
  const [fits, setFits] = useState(false);
  const [open, setOpen] = useState(chosen);
  const groups = families(methods);
  const dimmed = (method: MethodCard) => !matches(method, text) || (family !== '' && method.family !== family) || (exact && method.exports !== 'lora-exact') || (fits && notFor(model, method) !== '');
  const card = methods.find((method) => method.slug === open) ?? methods[0];
  return (
    <main className="methods-panel" aria-label={strings.panels.methods}>
      <div className="pane method-bar">
        <span className="find-box"><Icon of={Search} size={14} /><input className="box search" aria-label={words.filter} placeholder={words.filter} value={text} onChange={(event) => setText(event.target.value)} /></span>
        <fieldset className="chips" aria-label={words.filters}>
          {['', ...groups.map(({ id }) => id)].map((id) => (
            <button key={id} type="button" className="chip" aria-pressed={family === id} onClick={() => setFamily(id)}>
              {id === '' ? words.all : (words.families[id]?.[0] ?? id)} <span className="num">{id === '' ? methods.length : groups.find((group) => group.id === id)?.methods.length}</span>
            </button>
          ))}
        </fieldset>
        <span className="end">
          {model && <label className="check"><input type="checkbox" checked={fits} onChange={(event) => setFits(event.target.checked)} />{words.fits(model.name)}</label>}
          <label className="check"><input type="checkbox" checked={exact} onChange={(event) => setExact(event.target.checked)} />{words.exact}</label>
        </span>
      </div>
      <Board groups={groups} open={card?.slug ?? ''} dimmed={dimmed} onOpen={setOpen} />
      {card && <Detail key={card.slug} card={card} />}
    </main>
  );
}

function Board({ groups, open, dimmed, onOpen }: { groups: ReturnType<typeof families>; open: string; dimmed: (method: MethodCard) => boolean; onOpen: (slug: string) => void }) {
  const { edit } = useApp();
  const board = useRef<HTMLDivElement>(null);
  const use = (slug: string) => {
    edit.method(slug);
    edit.open('build');
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const cards = [...(board.current?.querySelectorAll<HTMLElement>('.card') ?? [])];
    const at = cards.indexOf(document.activeElement as HTMLElement);
    if (at < 0) return;
    if (event.key === 'Enter') {
      event.preventDefault();
      use(cards[at]?.dataset.slug as string);
      return;
    }
    const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key] ?? vertical(cards, at, event.key);
    if (move === undefined) return;
    event.preventDefault();
    cards[Math.min(cards.length - 1, Math.max(0, at + move))]?.focus();
  };
  return (
    <section className="pane board-room" aria-label={words.board}>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: the keys move between its buttons. */}
      <div className="board" ref={board} onKeyDown={onKeyDown}>
        {groups.map(({ id, methods }) => (
          <section key={id} className="family" style={{ '--n': methods.length } as React.CSSProperties}>
            <h2 className="fam">{words.families[id]?.[0] ?? id} <span className="hint">{words.families[id]?.[1]}</span></h2>
            <div className="cards">
              {methods.map((method) => (
                <button
                  key={method.slug} type="button" className={dimmed(method) ? 'card dimmed' : 'card'} data-slug={method.slug} data-testid={`card-${method.slug}`} aria-pressed={method.slug === open}
                  onClick={() => onOpen(method.slug)} onFocus={() => onOpen(method.slug)} onDoubleClick={() => use(method.slug)}
                >
                  <MethodGlyph family={method.family} size={46} />
                  <span className="card-text"><b>{method.name}</b><span className="line">{method.summary}</span><span className="hint">{citation(method)}</span></span>
                </button>
              ))}
            </div>
          </section>
        ))}
      </div>
    </section>
  );
}

/** A field's default as its control shows it. */
function usual(field: Field): string {
  if (field.kind === 'bool') return field.default ? strings.common.on : strings.common.off;
  if (field.kind === 'choice') return field.options.find(({ value }) => value === field.default)?.label ?? field.default;
  return setting(field.default);
}

/** Cards up or down from this one to the nearest in the row there. */
function vertical(cards: readonly HTMLElement[], at: number, key: string): number | undefined {
  if (key !== 'ArrowUp' && key !== 'ArrowDown') return undefined;
  const box = (card: HTMLElement) => card.getBoundingClientRect();
  const here = box(cards[at] as HTMLElement);
  const beyond = cards.filter((card) => (key === 'ArrowDown' ? box(card).top > here.top + 4 : box(card).top < here.top - 4));
  const distance = (card: HTMLElement) => Math.abs(box(card).top - here.top) * 10 + Math.abs(box(card).left - here.left);
  const nearest = [...beyond].sort((a, b) => distance(a) - distance(b))[0];
  return nearest ? cards.indexOf(nearest) - at : undefined;
}

function Detail({ card }: { card: MethodCard }) {
  const { edit, log } = useApp();
  const model = useStudio((state) => state.project.model.card);
  const runs = useShallowStudio((state) => state.runs.order.map((id) => state.runs.byId[id] as RunRecord).filter((run) => run.config.method.slug === card.slug));
  const losses = runs.map((run) => lastValidation(log, run.id)).filter((value) => value !== null);
  const trouble = notFor(model, card);
  return (
    <aside className="pane method-detail" aria-label={card.name} aria-live="polite">
      <div className="ph"><h2>{card.name}</h2><span className="meta">{words.families[card.family]?.[0] ?? card.family}</span></div>
      <div className="pb-scroll">
        <div className="pb">
          <div className="big-glyph"><MethodGlyph family={card.family} size={124} /></div>
          <p className="text">{card.summary}</p>
          <p className="dim fs12"><b>{words.goodFor}</b> {card.goodFor}</p>
          <a className="cite fs12" href={card.paper.url} target="_blank" rel="noreferrer" title={card.paper.title}>{citation(card)} <Icon of={ExternalLink} size={11} /></a>
          <pre className="formula">{card.formula}</pre>
          <h3 className="sub">{words.changes}</h3>
          <dl className="kv plain">
            <div><dt>{words.exports}</dt><dd>{words.exportKinds[card.exports]}</dd></div>
            <div><dt>{words.worksOn}</dt><dd>{card.models.map((kind) => words.kinds[kind]).join(', ')}</dd></div>
            {card.series.length > 0 && <div><dt>{words.reports}</dt><dd>{card.series.map(({ label }) => label).join(', ')}</dd></div>}
            {card.views.length > 0 && <div><dt>{words.pictures}</dt><dd>{card.views.map(({ title }) => title).join(', ')}</dd></div>}
            <div><dt>{words.runsHere}</dt><dd>{runs.length === 0 ? words.noRuns : runs.length}</dd></div>
            {losses.length > 0 && <div><dt>{words.bestHere}</dt><dd className="num">{loss(Math.min(...losses))}</dd></div>}
          </dl>
          <h3 className="sub">{words.controls}</h3>
          <dl className="kv">
            {Object.entries(card.fields).map(([name, field]) => <div key={name} title={field.help}><dt>{field.label}</dt><dd>{usual(field)}</dd></div>)}
          </dl>
        </div>
      </div>
      <div className="detail-foot">
        {trouble && <p className="warn fs12" id="not-made">{trouble}</p>}
        <button type="button" className="btn primary lg" data-testid="use-method" disabled={trouble !== ''} aria-describedby={trouble ? 'not-made' : undefined} onClick={() => { edit.method(card.slug); edit.open('build'); }}>{words.use(card.name)} <kbd>↵</kbd></button>
        <button type="button" className="btn lg" disabled={trouble !== ''} onClick={() => overlays.setState({ open: 'arms', arms: [card.slug] })}>{words.compare}</button>
      </div>
    </aside>
  );
}
