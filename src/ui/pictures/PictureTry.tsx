// Trying a model of pictures out: one's own picture, before training and with the adapter of each run; of a model with texts, own texts too.
import { useState } from 'react';
import type { Failure, Looked } from '../../store/contract';
import { useApp, useShallowStudio, useStudio } from '../context';
import { DropZone } from '../controls/DropZone';
import { FailureBanner } from '../controls/FailureBanner';
import type { Given } from '../controls/files';
import { percent } from '../format';
import { strings } from '../strings';
import { pictureStrings as words } from '../strings-pictures';
import { Thumb } from './Thumb';

/** Classes shown of an answer. */
const MOST = 6;
interface Answer { name: string; tone: 'was' | 'acc'; looked: Looked }

export function PictureTry() {
  const { ask } = useApp();
  const model = useStudio((state) => state.project.model.card);
  const runs = useShallowStudio((state) => state.runs.order.map((id) => state.runs.byId[id]).filter((run) => run?.live && run.status !== 'preparing' && run.labels.model === state.project.model.card?.name));
  const [picture, setPicture] = useState<File | null>(null);
  const [texts, setTexts] = useState('');
  const [answers, setAnswers] = useState<readonly Answer[]>([]);
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<Failure | null>(null);
  const give = (given: Given) => {
    const file = given.kind === 'file' ? given.file : given.kind === 'folder' ? given.files[0]?.file : undefined;
    if (file) setPicture(file);
  };
  const look = async () => {
    if (!picture) return;
    setBusy(true);
    setFailure(null);
    setAnswers([]);
    const lines = texts.split('\n').map((line) => line.trim()).filter((line) => line !== '');
    const wanted: { run: string | null; name: string; tone: 'was' | 'acc' }[] = [{ run: null, name: words.base, tone: 'was' }, ...runs.flatMap((run) => (run ? [{ run: run.id, name: words.ofRun(run.name, run.step), tone: 'acc' as const }] : []))];
    for (const { run, name, tone } of wanted) {
      const looked = await ask.look({ name: picture.name, file: picture }, lines.length > 0 ? lines : null, run);
      if ('message' in looked) {
        setFailure(looked);
        break;
      }
      setAnswers((all) => [...all, { name, tone, looked }]);
    }
    setBusy(false);
  };
  return (
    <main className="playground" aria-label={strings.panels.playground}>
      <section className="pane" aria-label={words.tryTitle}>
        <div className="ph"><h2>{words.tryTitle}</h2><span className="meta">{model?.name}</span></div>
        <div className="pb-scroll">
          <div className="pb col gap2">
            <DropZone label={words.tryFile} accept="image/*" testid="try-zone" inputTestid="try-file" onFiles={give}>{picture ? picture.name : words.tryDrop}</DropZone>
            <p className="hint fs12">{words.tryHint}</p>
            {model?.kind === 'clip' && (
              <>
                <div className="sub"><h3>{words.texts}</h3><span className="hint">{words.textsHint}</span></div>
                <textarea className="area" rows={5} aria-label={words.texts} value={texts} data-testid="try-texts" onChange={(event) => setTexts(event.target.value)} />
              </>
            )}
            {runs.length === 0 && <p className="hint fs12">{words.noRun}</p>}
            <button type="button" className="btn primary lg wide" disabled={!picture || busy} data-testid="try-look" onClick={() => void look()}>{busy ? words.looking : words.look}</button>
          </div>
        </div>
      </section>
      <section className="pane" aria-label={words.answers}>
        <div className="ph"><h2>{words.answers}</h2><span className="meta">{words.answersHint}</span></div>
        <div className="rule" />
        {failure && <FailureBanner title={words.failed} failure={failure} />}
        <div className="voices" aria-live="polite" aria-busy={busy}>
          {answers.length === 0 && !failure && <p className="pb hint fs12">{busy ? words.looking : words.waiting}</p>}
          {answers.map(({ name, tone, looked }, i) => (
            <article key={name} className="voice" data-testid={`look-${i}`}>
              <header><b className={`ell ${tone}`}>{name}</b></header>
              <div className="looked"><Thumb picture={looked.picture} label={picture?.name ?? ''} /><Shares looked={looked} tone={tone} /></div>
            </article>
          ))}
        </div>
      </section>
    </main>
  );
}

function Shares({ looked: { labels, shares }, tone }: { looked: Looked; tone: 'was' | 'acc' }) {
  const sorted = labels.map((label, i) => ({ label, share: shares[i] ?? 0 })).sort((a, b) => b.share - a.share).slice(0, MOST);
  return (
    <table className="tbl classes"><tbody>
      {sorted.map(({ label, share }) => <tr key={label}><td className="ell" title={label}>{label}</td><td className="bar-cell"><i className={tone === 'was' ? 'plain' : ''} style={{ width: `${100 * share}%` }} /></td><td className="r num">{percent(share)}</td></tr>)}
    </tbody></table>
  );
}
