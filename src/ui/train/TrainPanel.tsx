// A run while it trains and after: its charts in the middle, what it writes, or makes of held-out rows, at the right, the runs of this visit at the left.
import { lazy, Suspense, useEffect } from 'react';
import { tasks } from '../../store/contract';
import { forgetRun } from '../charts/chart-state';
import { useSelectedRun } from '../context';
import { strings } from '../strings';
import { Charts } from './Charts';
import { EmptyPanel } from './EmptyPanel';
import { Events } from './Events';
import { LiveViews } from './LiveViews';
import { PhoneActions, RunHeader } from './RunHeader';
import { RunBanners } from './RunBanners';
import { RunRail } from './RunRail';
import { Samples } from './Samples';

const words = strings.train;
const HeldOut = lazy(async () => ({ default: (await import('./HeldOut')).HeldOut }));

export function TrainPanel() {
  const run = useSelectedRun();
  const id = run?.id;
  // biome-ignore lint/correctness/useExhaustiveDependencies: another run, another cursor.
  useEffect(forgetRun, [id]);
  if (!run) return <EmptyPanel title={words.none} text={words.noneText} />;
  return (
    <main className="train" aria-label={strings.panels.train}>
      <RunRail />
      <section className="pane run-pane" aria-label={run.name}>
        <RunHeader run={run} />
        <RunBanners run={run} />
        <Charts run={run} />
      </section>
      <aside className="pane texts" aria-label={words.before}>
        {tasks[run.config.task].writes ? <Samples key={run.id} run={run} /> : <Suspense><HeldOut key={run.id} run={run} /></Suspense>}
        <div className="texts-lower">
          <LiveViews run={run} />
          <Events run={run} />
        </div>
      </aside>
      <PhoneActions run={run} />
    </main>
  );
}
