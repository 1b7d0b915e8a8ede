// What a run has come through: an interruption, a lost device, a failure, a state that could not be kept. Each with the way on.
import { Check, X } from 'lucide-react';
import { useState } from 'react';
import type { Failure } from '../../store/contract';
import { canGoOn, isActive, type RunRecord } from '../../store/slices/runs';
import { useApp, useStudio } from '../context';
import { Banner } from '../controls/Banner';
import { CopyButton } from '../controls/CopyLine';
import { FailureBanner } from '../controls/FailureBanner';
import { Icon } from '../controls/Icon';
import { seconds } from '../format';
import { tell } from '../shell/tell';
import { strings } from '../strings';

const words = strings.train;

export function RunBanners({ run }: { run: RunRecord }) {
  const { error } = run;
  return (
    <>
      {run.recovery && <Recovered run={run} recovery={run.recovery} />}
      {run.interrupted && !run.recovery && (
        <Banner tone="warn" title={words.interruptedTitle(run.step)} testid="interrupted" actions={<GoOn run={run} />}>{words.interruptedText(run.saved && run.saved.step > 0 ? run.saved.step : null)}</Banner>
      )}
      {error && (
        <FailureBanner
          title={words.failed} failure={run.step > 0 && error.name === 'NonFiniteError' ? { ...error, hint: [error.hint, words.failedKept(run.step)].filter(Boolean).join(' ') } : error}
          actions={outOfMemory(error) ? <Smaller run={run} /> : canGoOn(run) && <GoOn run={run} />}
        />
      )}
      {run.saved?.problem && <Banner tone="warn" title={words.notKept(run.saved.problem)} />}
    </>
  );
}

const outOfMemory = ({ name, message }: Failure) => name === 'DeviceLimitError' || /out.of.memory/i.test(message);

/** Memory grows with the batch and the row: the same setup with half of one of them. */
function Smaller({ run }: { run: RunRecord }) {
  const { ask, edit } = useApp();
  const { training } = run.config;
  const lower = (change: Partial<typeof training>) => {
    ask.giveConfig({ ...run.config, training: { ...training, ...change } });
    edit.open('build');
  };
  const [batch, seq] = [Math.floor(training.batch / 2), Math.floor(training.seq / 2)];
  return (
    <>
      {batch >= 1 && <button type="button" className="btn" onClick={() => lower({ batch })}>{words.lowerBatch(training.batch, batch)}</button>}
      {seq >= 8 && <button type="button" className="btn" onClick={() => lower({ seq })}>{words.lowerSeq(training.seq, seq)}</button>}
    </>
  );
}

/** Goes on from the kept state; nothing else may be training. */
export function GoOn({ run }: { run: RunRecord }) {
  const { ask } = useApp();
  const [busy, setBusy] = useState(false);
  const free = useStudio((state) => !state.runs.order.some((id) => isActive(state.runs.byId[id]?.status ?? 'stopped')));
  const go = async () => {
    setBusy(true);
    await tell(ask.goOn(run.id));
    setBusy(false);
  };
  return (
    <button type="button" className="btn" data-testid="go-on" disabled={busy || !free} title={run.saved ? words.goOnFrom(run.saved.step) : words.goOnFresh} onClick={() => void go()}>
      {busy ? words.waking : words.goOn}
    </button>
  );
}

function Recovered({ run, recovery }: { run: RunRecord; recovery: NonNullable<RunRecord['recovery']> }) {
  const { store } = useApp();
  const { reason, lostAt, from, seconds: took, repeats } = recovery;
  const dismiss = () => {
    const { runs } = store.getState();
    store.setState({ runs: { ...runs, byId: { ...runs.byId, [run.id]: { ...run, recovery: null } } } });
  };
  return (
    <Banner
      tone="warn" testid="recovery"
      title={<span className="row between"><span>{took === null ? words.recovering(lostAt) : words.recovered(lostAt)}</span>{took !== null && <span className="num hint">{words.recoveredIn(seconds(took))}</span>}</span>}
      actions={took !== null && (
        <>
          {repeats !== null && <span className="row"><Icon of={repeats ? Check : X} size={13} />{repeats ? words.repeats : words.repeatsNot}</span>}
          <CopyButton label={words.report} text={[navigator.userAgent, reason, `lost at step ${lostAt}, went on from step ${from}`, repeats === null ? '' : `first loss repeats: ${repeats}`].join('\n')} />
          <button type="button" className="btn ghost" onClick={dismiss}>{words.dismiss}</button>
        </>
      )}
    >
      {words.recoveredText(reason, from, Math.max(0, lostAt - from))}
    </Banner>
  );
}
