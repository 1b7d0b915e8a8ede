// Explore: the adapter of a run, or one out of files, cut after training and measured; and what its method showed while training.
import { useEffect, useRef, useState } from 'react';
import type { Explore } from '../../store/explore';
import { isActive, type RunRecord } from '../../store/slices/runs';
import { useApp, useSelectedRun, useStudio } from '../context';
import { FailureBanner } from '../controls/FailureBanner';
import { Segmented } from '../controls/Segmented';
import { EmptyPanel } from '../train/EmptyPanel';
import { RunRail } from '../train/RunRail';
import { SelectBox } from '../controls/SelectBox';
import { strings } from '../strings';
import { CutPane } from './CutPane';
import { MethodView } from './MethodViews';
import { OpenFiles } from './OpenFiles';
import { RunFacts } from './RunFacts';
import { SidePane } from './SidePane';
import { SiteMap } from './SiteMap';
import { SitePane } from './SitePane';
import { useExplore } from './use-explore';
import { useKeys } from './use-keys';

const words = strings.explore;
const CUT = 'cut';

export function ExplorePanel() {
  const run = useSelectedRun();
  const source = useExplore((state) => state.source);
  const fromFiles = source !== null && source.run === null;
  useOpenRun(run);
  if (!run && !fromFiles) return <EmptyPanel title={words.empty} text={words.emptyText} more={<OpenFiles />} />;
  return <Panel key={run?.id ?? ''} run={run} fromFiles={fromFiles} />;
}

function Panel({ run, fromFiles }: { run: RunRecord | null; fromFiles: boolean }) {
  const { ask } = useApp();
  const methods = useStudio((state) => state.engine.methods);
  const runs = useStudio((state) => state.runs);
  const [tab, setTab] = useState(CUT);
  const views = run ? (methods.find((method) => method.slug === run.config.method.slug)?.views ?? []) : [];
  const view = views.find((entry) => entry.id === tab);
  const tabs = [{ value: CUT, label: words.cutTab }, ...views.map((entry) => ({ value: entry.id, label: entry.title }))].map((entry) => ({ ...entry, testid: `explore-${entry.value}` }));
  return (
    <main className="explore" aria-label={strings.panels.explore}>
      <RunRail>{run && !fromFiles && <RunFacts run={run} />}<div className="rail-open"><OpenFiles /></div></RunRail>
      <div className="explore-main">
        <div className="explore-tabs">
          {runs.order.length > 1 && <span className="run-menu"><SelectBox label={strings.train.runMenu} value={run?.id ?? ''} options={runs.order.map((id) => ({ value: id, label: runs.byId[id]?.name ?? id }))} onChange={ask.select} /></span>}
          {tabs.length > 1 && <Segmented label={words.tabs} value={view ? tab : CUT} onChange={setTab} options={tabs} />}
          <SourceLine run={run} />
        </div>
        {view && run ? <div className="views-grid"><MethodView key={view.id} run={run} view={view} /></div> : <Session run={run} fromFiles={fromFiles} />}
      </div>
    </main>
  );
}

/** Whether a run's numbers stand still. */
const stands = (run: RunRecord) => !isActive(run.status) || run.status === 'paused';

/** Opens the chosen run when it stands still, and again when it stands at another step; one of an earlier visit only when asked. A file that was opened stays until another run is chosen. */
function useOpenRun(run: RunRecord | null): void {
  const { explore } = useApp();
  const wanted = run && run.step > 0 && stands(run) ? `${run.id}@${run.step}` : null;
  const asked = useRef<string | null>(explore.store.getState().source?.run === null ? wanted : null);
  useEffect(() => {
    if (run && !run.live) asked.current = null;
    if (!run?.live || wanted === null || asked.current === wanted) return;
    asked.current = wanted;
    if (explore.store.getState().source?.key === wanted) return;
    openRun(explore, run);
  }, [explore, run, wanted]);
}

const openRun = (explore: Explore, run: RunRecord) => void explore.open({ kind: 'run', run: run.id }, { name: run.name, step: run.step, prompt: run.config.sample.prompt });

/** Whose adapter this is, and whether it is the newest of it. */
function SourceLine({ run }: { run: RunRecord | null }) {
  const source = useExplore((state) => state.source);
  if (!source) return null;
  const behind = run && source.run === run.id && run.step !== source.step;
  return (
    <p className="fs12 dim ell source-line">
      <b className="strong">{source.name}</b> {source.run === null ? words.fromFiles : words.readAt(source.step)}
      {behind && <span className="warn"> {words.behind(run.step)}</span>}
    </p>
  );
}

function Session({ run, fromFiles }: { run: RunRecord | null; fromFiles: boolean }) {
  const { ask, explore } = useApp();
  const status = useExplore((state) => state.status);
  const source = useExplore((state) => state.source);
  const error = useExplore((state) => state.error);
  const progress = useStudio((state) => state.engine.progress);
  const mine = fromFiles || (run !== null && source?.run === run.id);
  if (mine && status === 'open') return <Open />;
  return (
    <section className="pane explore-wait" aria-label={words.cutTab}>
      <div className="empty-inner">
        {mine && status === 'failed' && error ? (
          <>
            <FailureBanner title={words.failed} failure={error} />
            {run && !run.live && <button type="button" className="btn" onClick={() => openRun(explore, run)}>{words.wake}</button>}
          </>
        ) : run && !fromFiles && !stands(run) ? (
          <>
            <h1>{words.moving}</h1>
            <p className="dim">{words.movingText}</p>
            {run.status === 'running' && <button type="button" className="btn primary lg" onClick={() => void ask.pause(run.id)}>{strings.train.pause}</button>}
          </>
        ) : run && !fromFiles && run.step === 0 ? (
          <h1>{words.noStep}</h1>
        ) : run && !fromFiles && !run.live && !(mine && status === 'opening') ? (
          <>
            <h1>{words.asleep}</h1>
            <p className="dim">{words.asleepText}</p>
            <button type="button" className="btn primary lg" data-testid="explore-wake" onClick={() => openRun(explore, run)}>{words.wake}</button>
          </>
        ) : (
          <div role="status" className="opening">
            <h1>{words.opening}</h1>
            <p className="dim num">{progress ? `${progress.task}, ${progress.done} ${strings.common.of} ${progress.total}` : '\u00a0'}</p>
            <div className="thin-bar"><i style={{ width: `${progress ? (100 * progress.done) / progress.total : 0}%` }} /></div>
          </div>
        )}
      </div>
    </section>
  );
}

function Open() {
  useKeys();
  return (
    <div className="explore-grid">
      <CutPane />
      <SiteMap />
      <SitePane />
      <SidePane />
    </div>
  );
}
