// Trying a model out on something of one's own: answers in probabilities, before training and with the adapter of each run of the same task.
import { type ReactNode, useState } from 'react';
import type { Failure, Judged, RunId } from '../../store/contract';
import { useShallowStudio, useStudio } from '../context';
import { FailureBanner } from '../controls/FailureBanner';
import { percent } from '../format';
import { strings } from '../strings';
import { tryoutStrings as words } from '../strings-tryout';

/** Classes shown of an answer, and places of what is matched. */
const [MOST, MOST_MATCHED] = [6, 16];
type Tone = 'was' | 'acc';

interface Props<T extends Judged> {
  title: string;
  /** What the button does, and what it says meanwhile. */
  action: string;
  acting: string;
  /** Said while nothing is asked yet. */
  waiting: string;
  answersHint: string;
  /** There is something to ask about. */
  ready: boolean;
  /** The model's answer, with the adapter of a run or, for null, without one. */
  ask: (run: RunId | null) => Promise<T | Failure>;
  /** What the answer was about, beside it. */
  beside?: (answer: T) => ReactNode;
  /** A label in pictures, in place of its words. */
  labelled?: (answer: T, place: number) => ReactNode;
  /** Where one gives it. */
  children: ReactNode;
}

export function Tryout<T extends Judged>({ title, action, acting, waiting, answersHint, ready, ask, beside, labelled, children }: Props<T>) {
  const model = useStudio((state) => state.project.model.card);
  const runs = useShallowStudio((state) => state.runs.order.map((id) => state.runs.byId[id]).filter((run) => run?.live && run.status !== 'preparing' && run.labels.model === state.project.model.card?.name && run.config.task === state.project.draft.task));
  const [answers, setAnswers] = useState<readonly { name: string; tone: Tone; answer: T }[]>([]);
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<Failure | null>(null);
  const go = async () => {
    setBusy(true);
    setFailure(null);
    setAnswers([]);
    const wanted: { run: RunId | null; name: string; tone: Tone }[] = [{ run: null, name: words.base, tone: 'was' }, ...runs.flatMap((run) => (run ? [{ run: run.id, name: words.ofRun(run.name, run.step), tone: 'acc' as const }] : []))];
    for (const { run, name, tone } of wanted) {
      const answer = await ask(run);
      if ('message' in answer) {
        setFailure(answer);
        break;
      }
      setAnswers((all) => [...all, { name, tone, answer }]);
    }
    setBusy(false);
  };
  return (
    <main className="playground" aria-label={strings.panels.playground}>
      <section className="pane" aria-label={title}>
        <div className="ph"><h2>{title}</h2><span className="meta">{model?.name}</span></div>
        <div className="pb-scroll">
          <div className="pb col gap2">
            {children}
            {runs.length === 0 && <p className="hint fs12">{words.noRun}</p>}
            <button type="button" className="btn primary lg wide" disabled={!ready || busy} data-testid="try-look" onClick={() => void go()}>{busy ? acting : action}</button>
          </div>
        </div>
      </section>
      <section className="pane" aria-label={words.answers}>
        <div className="ph"><h2>{words.answers}</h2><span className="meta">{answersHint}</span></div>
        <div className="rule" />
        {failure && <FailureBanner title={words.failed} failure={failure} />}
        <div className="voices" aria-live="polite" aria-busy={busy}>
          {answers.length === 0 && !failure && <p className="pb hint fs12">{busy ? acting : waiting}</p>}
          {answers.map(({ name, tone, answer }, i) => (
            <article key={name} className="voice" data-testid={`look-${i}`}>
              <header><b className={`ell ${tone}`}>{name}</b></header>
              <div className={beside ? 'looked beside' : 'looked'}>{beside?.(answer)}<Shares answer={answer} tone={tone} {...(labelled ? { labelled: (place) => labelled(answer, place) } : {})} /></div>
            </article>
          ))}
        </div>
      </section>
    </main>
  );
}

function Shares({ answer: { labels, shares, cosines, inOrder }, tone, labelled }: { answer: Judged; tone: Tone; labelled?: (place: number) => ReactNode }) {
  const all = labels.map((label, place) => ({ place, label, share: shares[place] ?? 0, cosine: cosines?.[place] }));
  const shown = inOrder ? all : all.sort((a, b) => b.share - a.share || (b.cosine ?? 0) - (a.cosine ?? 0)).slice(0, cosines ? MOST_MATCHED : MOST);
  return (
    <>
      <table className="tbl classes">
        {cosines && <thead><tr><th className="r">{words.rank}</th><th>{words.match}</th><th /><th className="r">{words.share}</th><th className="r">{words.cosine}</th></tr></thead>}
        <tbody>
          {shown.map(({ place, label, share, cosine }, i) => (
            <tr key={place}>
              {cosine !== undefined && <td className="r num">{i + 1}</td>}
              <td className="ell" title={label}>{labelled?.(place) ?? label}</td>
              <td className="bar-cell"><i className={tone === 'was' ? 'plain' : ''} style={{ width: `${100 * share}%` }} /></td>
              <td className="r num">{percent(share)}</td>
              {cosine !== undefined && <td className="r num">{cosine.toFixed(3)}</td>}
            </tr>
          ))}
        </tbody>
      </table>
      {!inOrder && cosines && labels.length > shown.length && <p className="hint fs12">{words.further(labels.length - shown.length)}</p>}
    </>
  );
}
