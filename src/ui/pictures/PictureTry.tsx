// Trying a model of pictures out on one's own picture or a held-out one; of a model with texts, on own texts too, either way round.
import { type ReactNode, useState } from 'react';
import type { DataCard, Found, Looked, PictureChoice } from '../../store/contract';
import { useApp, useStudio } from '../context';
import { DropZone } from '../controls/DropZone';
import type { Given } from '../controls/files';
import { Segmented } from '../controls/Segmented';
import { Tryout } from '../playground/Tryout';
import { pictureStrings as words } from '../strings-pictures';
import { Thumb } from './Thumb';

type Mode = 'texts' | 'pictures';
type Held = NonNullable<DataCard['pictures']>['held'];
const MODES: readonly { value: Mode; label: string; testid: string }[] = [{ value: 'texts', label: words.forPicture, testid: 'try-for-picture' }, { value: 'pictures', label: words.forText, testid: 'try-for-text' }];

export function PictureTry() {
  const matches = useStudio((state) => state.project.model.card?.kind === 'clip');
  const [mode, setMode] = useState<Mode>('texts');
  const choice = matches && <Segmented full label={words.mode} options={MODES} value={mode} onChange={(value) => setMode(value as Mode)} />;
  return matches && mode === 'pictures' ? <ForText>{choice}</ForText> : <ForPicture matches={matches}>{choice}</ForPicture>;
}

/** Classes of a picture, or texts for it. */
function ForPicture({ matches, children }: { matches: boolean; children: ReactNode }) {
  const { ask } = useApp();
  const held = useStudio((state) => state.project.data.card?.pictures?.held);
  const captions = useStudio((state) => state.project.draft.task === 'image-caption');
  const [chosen, setChosen] = useState<{ name: string; from: PictureChoice } | null>(null);
  const [texts, setTexts] = useState('');
  const give = (given: Given) => {
    const file = given.kind === 'file' ? given.file : given.kind === 'folder' ? given.files[0]?.file : undefined;
    if (file) setChosen({ name: file.name, from: { name: file.name, file } });
  };
  const lines = texts.split('\n').map((line) => line.trim()).filter((line) => line !== '');
  return (
    <Tryout<Looked>
      title={words.tryTitle} action={words.look} acting={words.looking} waiting={words.waiting} answersHint={matches ? words.matchedHint : words.answersHint}
      ready={chosen !== null && (!captions || lines.length > 0)}
      ask={(run) => ask.look((chosen as NonNullable<typeof chosen>).from, lines.length > 0 ? lines : null, run)}
      beside={(looked) => <Thumb picture={looked.picture} label={chosen?.name ?? ''} />}
    >
      {children}
      <DropZone label={words.tryFile} accept="image/*" testid="try-zone" inputTestid="try-file" onFiles={give}>{chosen ? chosen.name : words.tryDrop}</DropZone>
      <p className="hint fs12">{words.tryHint}</p>
      {held && held.length > 0 && <HeldPictures held={held} chosen={chosen?.from} onChoose={(name, row) => setChosen({ name, from: { row } })} />}
      {matches && (
        <>
          <div className="sub"><h3>{words.texts}</h3><span className="hint">{captions ? '' : words.textsHint}</span></div>
          <textarea className="area" rows={5} aria-label={words.texts} value={texts} data-testid="try-texts" onChange={(event) => setTexts(event.target.value)} />
        </>
      )}
    </Tryout>
  );
}

function HeldPictures({ held, chosen, onChoose }: { held: Held; chosen: PictureChoice | undefined; onChoose: (name: string, row: number) => void }) {
  return (
    <>
      <div className="sub"><h3>{words.tryHeld}</h3></div>
      <ul className="picture-grid picture-choice" data-testid="try-held">
        {held.map(({ row, name = '', label, text, picture }) => picture && (
          <li key={row}>
            <button type="button" aria-pressed={chosen !== undefined && 'row' in chosen && chosen.row === row} aria-label={`${name}: ${label ?? text ?? ''}`} onClick={() => onChoose(name, row)}>
              <Thumb picture={picture} label={`${name}: ${label ?? text ?? ''}`} />
            </button>
          </li>
        ))}
      </ul>
    </>
  );
}

/** Held-out pictures for a text. */
function ForText({ children }: { children: ReactNode }) {
  const { ask } = useApp();
  const [text, setText] = useState('');
  return (
    <Tryout<Found>
      title={words.findTitle} action={words.find} acting={words.finding} waiting={words.findWaiting} answersHint={words.findHint}
      ready={text.trim() !== ''} ask={(run) => ask.find(text.trim(), run)}
      labelled={({ pictures, labels }, place) => <Thumb picture={pictures[place] as Found['pictures'][number]} label={labels[place] as string} />}
    >
      {children}
      <textarea className="area" rows={2} aria-label={words.findText} placeholder={words.findPlaceholder} value={text} data-testid="try-find" onChange={(event) => setText(event.target.value)} />
      <p className="hint fs12">{words.tryHint}</p>
    </Tryout>
  );
}
