// What happened in the run, newest first: the engine's notes, its phases, and the best validation so far.
import type { RunRecord } from '../../store/slices/runs';
import { useApp, useVersion } from '../context';
import { count, loss } from '../format';
import { strings } from '../strings';

const words = strings.train;

export function Events({ run }: { run: RunRecord }) {
  const { log } = useApp();
  useVersion(run.id);
  const { steps, losses } = log.evals(run.id);
  const best = losses.length > 1 ? losses.indexOf(Math.min(...losses)) : -1;
  const events = [
    ...run.notes.map((note) => ({ step: note.step, text: note.text, value: '' })),
    ...(run.phases.length > 1 ? run.phases : []).map((phase) => ({ step: phase.from, text: words.phase(phase.name), value: '' })),
    ...(best > 0 ? [{ step: steps[best] as number, text: words.bestValidation, value: loss(losses[best] as number) }] : []),
  ].sort((a, b) => b.step - a.step);
  return (
    <section className="sample events">
      <h3 className="sub">{words.events}</h3>
      {events.length === 0 && <p className="hint fs12">{words.noEvents}</p>}
      <ul>
        {events.slice(0, 40).map((event) => (
          <li key={`${event.step} ${event.text}`}><span className="num hint">{count(event.step)}</span><span>{event.text}</span><span className="num">{event.value}</span></li>
        ))}
      </ul>
    </section>
  );
}
