// A screen before there is anything to show: one sentence, the way on, and questions that are whole setups.
import { useApp, useStudio } from '../context';
import { strings } from '../strings';
import { Recipes } from './Recipes';

export function EmptyPanel({ title, text, more }: { title: string; text: string; more?: React.ReactNode }) {
  const { edit } = useApp();
  const ready = useStudio((state) => state.engine.status === 'ready');
  return (
    <main className="empty">
      <section className="pane">
        <div className="empty-inner">
          {/* The shape of what will come. */}
          <svg viewBox="0 0 320 90" aria-hidden="true">
            <path d="M4 6C30 62 70 70 316 80" fill="none" stroke="var(--line-2)" strokeWidth="2" strokeDasharray="2 5" strokeLinecap="round" />
            <path d="M0 89.500H320" stroke="var(--line-2)" />
          </svg>
          <h1>{title}</h1>
          <p className="dim">{text}</p>
          <div className="row wrap"><button type="button" className="btn primary lg" onClick={() => edit.open('build')}>{strings.train.toBuild}</button>{more}</div>
        </div>
        {ready && <Recipes />}
      </section>
    </main>
  );
}
