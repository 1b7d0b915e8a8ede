// Trying an encoder out on one's own text: its class, the likeliest words for a hidden one, the tags of its words, or which of some lines belongs to it.
import { useState } from 'react';
import { useApp, useStudio } from '../context';
import { tryoutStrings as words } from '../strings-tryout';
import { Tryout } from './Tryout';

export function TextTry() {
  const { ask } = useApp();
  const task = useStudio((state) => state.project.draft.task);
  const said = task === 'sequence-classification' ? words.sorting : task === 'token-classification' ? words.tagging : task === 'sentence-embedding' ? words.matching : words.filling;
  const pairs = useStudio((state) => state.project.data.card?.used.second !== undefined);
  const [text, setText] = useState('');
  const [second, setSecond] = useState('');
  return (
    <Tryout
      title={words.textTitle} action={said.action} acting={words.reading} waiting={said.waiting} answersHint={said.hint}
      ready={text.trim() !== '' && (!pairs || second.trim() !== '')}
      ask={(run) => ask.judge(pairs ? { text, second } : { text }, run)}
    >
      <textarea className="area" rows={4} aria-label={words.text} placeholder={said.placeholder} value={text} data-testid="try-text" onChange={(event) => setText(event.target.value)} />
      {pairs && <textarea className="area" rows={4} aria-label={said.second} placeholder={said.second} value={second} data-testid="try-second" onChange={(event) => setSecond(event.target.value)} />}
      <p className="hint fs12">{words.stays}</p>
    </Tryout>
  );
}
