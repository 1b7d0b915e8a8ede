// Trying an encoder out on one's own text: its class, or the likeliest words for a hidden one.
import { useState } from 'react';
import { useApp, useStudio } from '../context';
import { tryoutStrings as words } from '../strings-tryout';
import { Tryout } from './Tryout';

export function TextTry() {
  const { ask } = useApp();
  const sorts = useStudio((state) => state.project.draft.task === 'sequence-classification');
  const pairs = useStudio((state) => state.project.data.card?.used.second !== undefined);
  const [text, setText] = useState('');
  const [second, setSecond] = useState('');
  return (
    <Tryout
      title={words.textTitle} action={sorts ? words.sort : words.fill} acting={words.reading} waiting={sorts ? words.sortWaiting : words.fillWaiting} answersHint={sorts ? words.sortHint : words.fillHint}
      ready={text.trim() !== '' && (!pairs || second.trim() !== '')}
      ask={(run) => ask.judge(pairs ? { text, second } : { text }, run)}
    >
      <textarea className="area" rows={4} aria-label={words.text} placeholder={sorts ? words.sortPlaceholder : words.fillPlaceholder} value={text} data-testid="try-text" onChange={(event) => setText(event.target.value)} />
      {pairs && <textarea className="area" rows={4} aria-label={words.second} placeholder={words.second} value={second} data-testid="try-second" onChange={(event) => setSecond(event.target.value)} />}
      <p className="hint fs12">{words.stays}</p>
    </Tryout>
  );
}
