// Trying a model of pictures out on one's own picture; of a model with texts, on own texts too.
import { useState } from 'react';
import type { Looked } from '../../store/contract';
import { useApp, useStudio } from '../context';
import { DropZone } from '../controls/DropZone';
import type { Given } from '../controls/files';
import { Tryout } from '../playground/Tryout';
import { pictureStrings as words } from '../strings-pictures';
import { Thumb } from './Thumb';

export function PictureTry() {
  const { ask } = useApp();
  const kind = useStudio((state) => state.project.model.card?.kind);
  const [picture, setPicture] = useState<File | null>(null);
  const [texts, setTexts] = useState('');
  const give = (given: Given) => {
    const file = given.kind === 'file' ? given.file : given.kind === 'folder' ? given.files[0]?.file : undefined;
    if (file) setPicture(file);
  };
  const lines = texts.split('\n').map((line) => line.trim()).filter((line) => line !== '');
  return (
    <Tryout<Looked>
      title={words.tryTitle} action={words.look} acting={words.looking} waiting={words.waiting} answersHint={words.answersHint} ready={picture !== null}
      ask={(run) => ask.look({ name: (picture as File).name, file: picture as File }, lines.length > 0 ? lines : null, run)}
      beside={(looked) => <Thumb picture={looked.picture} label={picture?.name ?? ''} />}
    >
      <DropZone label={words.tryFile} accept="image/*" testid="try-zone" inputTestid="try-file" onFiles={give}>{picture ? picture.name : words.tryDrop}</DropZone>
      <p className="hint fs12">{words.tryHint}</p>
      {kind === 'clip' && (
        <>
          <div className="sub"><h3>{words.texts}</h3><span className="hint">{words.textsHint}</span></div>
          <textarea className="area" rows={5} aria-label={words.texts} value={texts} data-testid="try-texts" onChange={(event) => setTexts(event.target.value)} />
        </>
      )}
    </Tryout>
  );
}
