// Everything by name: settings with their values, methods, runs, screens, actions. "rank 16" sets it; ← and → change it in place.
import { Command } from 'cmdk';
import { Search } from 'lucide-react';
import { type KeyboardEvent, useDeferredValue, useMemo, useState } from 'react';
import { toast } from 'sonner';
import { useStore } from 'zustand';
import { useApp, useShallowStudio, useStudio } from '../context';
import { Icon } from '../controls/Icon';
import { strings } from '../strings';
import { openOverlay, overlayChange, overlays } from './overlays';
import { entriesOf, type PaletteEntry, runsSaid, score, typedValue } from './palette-entries';

const words = strings.palette;
const FIRST = 16;
const GROUPS = ['parameters', 'methods', 'runs', 'views'] as const;

export function Palette() {
  const app = useApp();
  const open = useStore(overlays, (state) => state.open === 'palette');
  const draft = useStudio((state) => state.project.draft);
  const engine = useShallowStudio(({ engine: { methods, data, models } }) => ({ methods, data, models }));
  const said = useStudio((state) => runsSaid(state.runs));
  const context = useStudio((state) => state.project.model.card?.context ?? 512);
  const [search, setSearch] = useState('');
  const [value, setValue] = useState('');
  // A run that trains changes with every report; what an entry says of it seldom does.
  // biome-ignore lint/correctness/useExhaustiveDependencies: `said` stands for the runs.
  const entries = useMemo(() => entriesOf(app, { draft, engine, runs: app.store.getState().runs, context }), [app, draft, engine, said, context]);
  const all = useMemo(() => entries.map((entry) => ({ entry, score: score(entry, search) })).filter((result) => result.score > 0), [entries, search]);
  // What fits the first look is there at once; the rest is built while one reads it.
  const whole = useDeferredValue(true, false);
  const found = whole || search !== '' ? all : all.slice(0, FIRST);
  const best = (group: PaletteEntry['group']) => found.filter(({ entry }) => entry.group === group).sort((a, b) => b.score - a.score);
  // Groups stand in the order of their best match; with nothing typed, as written above.
  const groups = GROUPS.map((group) => ({ group, results: best(group) })).filter(({ results }) => results.length > 0).sort((a, b) => (search === '' ? 0 : (b.results[0]?.score ?? 0) - (a.results[0]?.score ?? 0)));
  const current = entries.find((entry) => entry.id === value);
  const typed = current && typedValue(current, search);

  const run = (entry: PaletteEntry) => {
    openOverlay(null);
    entry.run(app);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (!current?.step || (event.key !== 'ArrowLeft' && event.key !== 'ArrowRight')) return;
    event.preventDefault();
    current.step(event.key === 'ArrowRight' ? 1 : -1);
  };
  const select = (entry: PaletteEntry) => {
    const wanted = typedValue(entry, search);
    if (wanted === null) return run(entry);
    entry.set?.(wanted.value);
    openOverlay(null);
    toast(strings.palette.setTo(entry.label, wanted.text));
  };
  return (
    <Command.Dialog open={open} onOpenChange={overlayChange('palette')} label={words.title} shouldFilter={false} loop value={value} onValueChange={setValue} className="palette" overlayClassName="scrim" contentClassName="palette-room" onKeyDown={onKeyDown}>
      <div className="palette-head">
        <Icon of={Search} />
        <Command.Input value={search} onValueChange={setSearch} placeholder={words.placeholder} aria-label={words.title} data-testid="palette-input" />
        <span className="num hint">{words.found(all.length, entries.length)}</span>
      </div>
      <Command.List className="palette-list" tabIndex={-1}>
        <Command.Empty className="hint palette-none">{words.none}</Command.Empty>
        {groups.map(({ group, results }) => (
          <Command.Group key={group} heading={words[group]}>
            {results.map(({ entry }) => (
              <Command.Item key={entry.id} value={entry.id} className={entry.other ? 'other' : ''} onSelect={() => select(entry)}>
                <b className="ell">{entry.label}</b>
                <span className="ell dim">{entry.hint}</span>
                <span className="num ell">{entry.other ? words.otherMethod : entry.keys ? <kbd className="kcap">{entry.keys}</kbd> : entry.value}</span>
              </Command.Item>
            ))}
          </Command.Group>
        ))}
      </Command.List>
      <div className="palette-foot">
        <span><kbd className="kcap">↑↓</kbd> {words.hints[0]}</span><span><kbd className="kcap">↵</kbd> {words.hints[1]}</span><span><kbd className="kcap">← →</kbd> {words.hints[2]}</span>
        <span className="end">{typed ? <b>{words.setTo(current.label, typed.text)}</b> : words.typed}</span>
      </div>
    </Command.Dialog>
  );
}

