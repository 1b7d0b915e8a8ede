// Start from a question: one press trains it, another opens it in Build to be changed.
import { useMemo, useState } from 'react';
import { useApp, useShallowStudio, useStudio } from '../context';
import { MethodGlyph } from '../build/MethodGlyph';
import { tell } from '../shell/tell';
import { strings } from '../strings';
import { type Recipe, recipes } from './recipes';

const words = strings.recipes;

export function Recipes() {
  const { ask, edit } = useApp();
  const catalogues = useShallowStudio(({ engine: { models, data, methods } }) => ({ models, data, methods }));
  const list = useMemo(() => recipes(catalogues), [catalogues]);
  const busy = useStudio((state) => state.queue.items.length > 0);
  const [starting, setStarting] = useState('');
  const train = async ({ id, config }: Recipe) => {
    setStarting(id);
    await tell(ask.trainSetup(config));
    setStarting('');
  };
  return (
    <section className="recipes" aria-label={words.title}>
      <div className="sub"><h2>{words.title}</h2><span className="hint">{words.hint}</span></div>
      <ul>
        {list.map((recipe) => (
          <li key={recipe.id}>
            <MethodGlyph family={catalogues.methods.find((method) => method.slug === recipe.config.method.slug)?.family ?? 'other'} size={34} />
            <span className="grow"><b>{words.list[recipe.id][0]}</b><span className="hint">{words.list[recipe.id][1]}</span></span>
            <button type="button" className="btn ghost" onClick={() => { ask.giveConfig(recipe.config); edit.open('build'); }}>{words.setUp}</button>
            <button type="button" className="btn" data-testid={`recipe-${recipe.id}`} disabled={busy || starting !== ''} onClick={() => void train(recipe)}>{words.run}</button>
          </li>
        ))}
      </ul>
    </section>
  );
}
