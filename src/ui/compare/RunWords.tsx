// The chosen run in words: its tags, a note, and where to go with it.
import { Trash2, X } from 'lucide-react';
import { type FormEvent, useState } from 'react';
import { isActive, type RunRecord } from '../../store/slices/runs';
import { useApp } from '../context';
import { Icon } from '../controls/Icon';
import { strings } from '../strings';
import { deleteRun } from '../train/delete-run';

const words = strings.compare;

export function RunWords({ run }: { run: RunRecord }) {
  const app = useApp();
  const { ask, edit } = app;
  const [tag, setTag] = useState('');
  const add = (event: FormEvent) => {
    event.preventDefault();
    const name = tag.trim();
    if (name && !run.tags.includes(name)) ask.describe(run.id, { tags: [...run.tags, name] });
    setTag('');
  };
  return (
    <div className="run-words" data-testid="run-words">
      <b className="ell" title={run.name}>{run.name}</b>
      {run.tags.map((name) => (
        <span key={name} className="tag">{name}<button type="button" aria-label={words.removeTag(name)} onClick={() => ask.describe(run.id, { tags: run.tags.filter((other) => other !== name) })}><Icon of={X} size={11} /></button></span>
      ))}
      <form onSubmit={add}><input className="box text-box tag-box" aria-label={words.addTag} placeholder={words.tagHint} value={tag} onChange={(event) => setTag(event.target.value)} onBlur={add} /></form>
      <input key={run.id} className="box text-box grow" aria-label={words.columns.remark} placeholder={words.remarkHint} defaultValue={run.remark} data-testid="remark" onBlur={(event) => event.target.value !== run.remark && ask.describe(run.id, { remark: event.target.value })} onKeyDown={(event) => event.key === 'Enter' && event.currentTarget.blur()} />
      <button type="button" className="btn ghost" onClick={() => edit.open('train')}>{words.open}</button>
      <button type="button" className="btn ghost" onClick={() => { ask.giveConfig(run.config); edit.open('build'); }}>{words.sameSetup}</button>
      {!isActive(run.status) && <button type="button" className="iconbtn" aria-label={strings.train.delete} title={strings.train.delete} onClick={() => deleteRun(app, run)}><Icon of={Trash2} /></button>}
    </div>
  );
}
