// What the model writes without and with the adapter, from step 0 on; and the user's own prompt.
import { type FormEvent, useState } from 'react';
import { toast } from 'sonner';
import { useStore } from 'zustand';
import type { SampleResult } from '../../store/contract';
import type { RunRecord } from '../../store/slices/runs';
import { chartState } from '../charts/chart-state';
import { useApp } from '../context';
import { Segmented } from '../controls/Segmented';
import { count } from '../format';
import { strings } from '../strings';
import { sharedStart } from './shared-start';

const words = strings.train;
/** Steps that fit a row of buttons; the time line has all. */
const MAX_STEPS = 6;

export function Samples({ run }: { run: RunRecord }) {
  const picked = useStore(chartState, (state) => state.sample);
  const [own, setOwn] = useState<SampleResult | null>(null);
  const scheduled = run.samples.find((sample) => sample.step === picked) ?? run.samples.at(-1) ?? null;
  const shown = own ?? scheduled;
  const steps = spread(run.samples.map((sample) => sample.step), MAX_STEPS);
  return (
    <>
      <div className="ph"><h2>{words.before}</h2><span className="meta">{words.beforeHint}</span></div>
      <div className="rule" />
      <div className="sample prompt">
        <header><b>{words.prompt}</b>{own && <span className="hint">{words.asked(own.step)}</span>}</header>
        <p className="text breaks">{shown?.prompt ?? run.config.sample.prompt}</p>
      </div>
      <div className="rule" />
      <div className="sample off">
        <header><b className="was">{words.base}</b></header>
        <p className="text was" data-testid="sample-off">{shown ? shown.off.trimStart() : <span className="hint">{words.waiting}</span>}</p>
      </div>
      <div className="rule" />
      <div className="sample on">
        <header><b className="acc">{shown ? words.adapter(shown.step) : words.adapterWaiting}</b></header>
        <div className="text on-text" data-testid="sample-on">{shown && <Changed before={shown.off} now={shown.on} />}</div>
        <div className="row steps-row">
          <span className="hint fs12">{words.step}</span>
          {own ? (
            <button type="button" className="btn ghost" onClick={() => setOwn(null)}>{words.scheduled}</button>
          ) : (
            <Segmented
              full label={words.step} value={scheduled ? String(scheduled.step) : ''} onChange={(step) => chartState.setState({ sample: Number(step) === run.samples.at(-1)?.step ? null : Number(step) })}
              options={steps.map((step) => ({ value: String(step), label: count(step) }))}
            />
          )}
        </div>
        <OwnPrompt run={run} onAnswer={setOwn} />
      </div>
    </>
  );
}

function Changed({ before, now }: { before: string; now: string }) {
  const [same, changed] = sharedStart(before, now);
  return (
    <>
      <p>{same && <span className="was">{same.trimStart()}</span>}{same ? changed : changed.trimStart()}</p>
      {changed === '' && <p className="hint fs11">{words.same}</p>}
      {changed !== '' && same.trim() !== '' && <p className="hint fs11">{words.sharedStart}</p>}
    </>
  );
}

function OwnPrompt({ run, onAnswer }: { run: RunRecord; onAnswer: (sample: SampleResult) => void }) {
  const { ask, store } = useApp();
  const [prompt, setPrompt] = useState('');
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    const failure = await ask.sample(run.id, prompt);
    setBusy(false);
    const answer = store.getState().runs.byId[run.id]?.own.at(-1);
    if (failure) toast.error(failure.message, { description: failure.hint });
    else if (answer) onAnswer(answer);
  };
  return (
    <form className="row own-prompt" onSubmit={(event) => void submit(event)}>
      <input className="box text-box" aria-label={words.ownPrompt} placeholder={words.ownHint} value={prompt} data-testid="own-prompt" onChange={(event) => setPrompt(event.target.value)} />
      <button type="submit" className="btn" disabled={busy || prompt.trim() === '' || run.status === 'preparing'} data-testid="own-prompt-button">{busy ? words.asking : words.ask}</button>
    </form>
  );
}

/** At most `most` of the steps, first and last among them, evenly between. */
function spread(steps: readonly number[], most: number): number[] {
  if (steps.length <= most) return [...steps];
  return [...new Set(Array.from({ length: most }, (_, i) => steps[Math.round((i * (steps.length - 1)) / (most - 1))] as number))];
}
