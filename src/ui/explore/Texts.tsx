// One prompt three ways: without the adapter, with all of it, and as it is cut. Tokens that differ are marked.
import { type FormEvent, useState } from 'react';
import { cutOf, same } from '../../store/explore';
import { useApp } from '../context';
import { FailureBanner } from '../controls/FailureBanner';
import { strings } from '../strings';
import { sharedTokens } from './diff';
import { useExplore } from './use-explore';
import { useHeld } from './use-keys';

const words = strings.explore;

export function Texts() {
  const { explore } = useApp();
  const prompt = useExplore((state) => state.prompt);
  const texts = useExplore((state) => state.texts);
  const writing = useExplore((state) => state.writing);
  const follow = useExplore((state) => state.follow);
  const error = useExplore((state) => state.textError);
  const current = useExplore((state) => state.texts !== null && same(state.texts.cut, cutOf(state)) && state.texts.result.prompt === state.prompt);
  const held = useHeld((state) => state.held);
  const [typed, setTyped] = useState(prompt);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    explore.prompt(typed);
    void explore.write();
  };
  const result = texts?.result;
  return (
    <>
      <form className="ab row" onSubmit={submit}>
        <input className="box text-box" aria-label={words.prompt} value={typed} onChange={(event) => setTyped(event.target.value)} data-testid="explore-prompt" />
        <button type="submit" className="btn" disabled={writing || typed.trim() === ''} data-testid="write-button">{strings.train.ask}</button>
      </form>
      <label className="ab follow fs12 dim"><input type="checkbox" checked={follow} onChange={(event) => explore.follow(event.target.checked)} />{words.follow}<span className="end hint" role="status">{writing ? words.writing : result && !current ? words.textOld : ''}</span></label>
      {error && <div className="ab"><FailureBanner failure={error} /></div>}
      <div className="rule" />
      <Text title={words.off} className="was" testid="text-off" tokens={result?.off} />
      <Text title={words.whole} className="acc" testid="text-whole" tokens={result?.whole} against={result?.off} />
      <Text title={held ? words.heldBase : words.now} className={held ? 'was' : 'acc'} testid="text-cut" tokens={held ? result?.off : result?.cut} against={held ? undefined : result?.off} whole={held ? undefined : result?.whole} hint={words.hold} />
      {result && <p className="ab hint fs11">{words.marks}</p>}
    </>
  );
}

function Text({ title, className, testid, tokens, against, whole, hint }: {
  title: string; className: string; testid: string; tokens: readonly string[] | undefined;
  /** Tokens that are not in this are underlined. */
  against?: readonly string[] | undefined;
  /** Tokens that are not in this are tinted. */
  whole?: readonly string[] | undefined; hint?: string;
}) {
  const shared = tokens && against ? sharedTokens(against, tokens) : null;
  const kept = tokens && whole ? sharedTokens(whole, tokens) : null;
  return (
    <>
      <div className="ab text-box-3">
        <header className="row fs12"><b className={className}>{title}</b>{hint && <span className="end hint">{hint} <kbd className="kcap">A</kbd></span>}</header>
        <p className={className === 'was' ? 'text was' : 'text'} data-testid={testid}>
          {tokens ? tokens.map((token, i) => {
            const marks = [shared && !shared[i] ? 'differs' : '', kept && !kept[i] ? 'cut-differs' : ''].join(' ').trim();
            const text = i === 0 ? token.trimStart() : token;
            // biome-ignore lint/suspicious/noArrayIndexKey: a token is its place.
            return marks ? <mark key={i} className={marks}>{text}</mark> : <span key={i}>{text}</span>;
          }) : <span className="hint">{words.textNone}</span>}
        </p>
      </div>
      <div className="rule" />
    </>
  );
}
