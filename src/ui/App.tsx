// The frame of every screen: top bar, the chosen panel, status bar; files may be dropped anywhere.
import { Tooltip } from 'radix-ui';
import { type CSSProperties, type DragEvent, lazy, Suspense, useDeferredValue } from 'react';
import { Toaster } from 'sonner';
import { useStore } from 'zustand';
import type { Panel } from '../store/slices/layout';
import { BuildPanel } from './build/BuildPanel';
import { useApp, useStudio } from './context';
import { FailureBanner } from './controls/FailureBanner';
import { fromDrop } from './controls/files';
import { useGiveFiles } from './controls/use-give-files';
import { LiveRegion } from './shell/LiveRegion';
import { overlays } from './shell/overlays';
import { StatusBar } from './shell/StatusBar';
import { Stages, TopBar } from './shell/TopBar';
import { usePage } from './shell/use-page';
import { useShortcuts } from './shell/use-shortcuts';
import { strings } from './strings';

// Build is what everyone sees first; the other screens are fetched while one reads it.
const TrainPanel = lazy(async () => ({ default: (await import('./train/TrainPanel')).TrainPanel }));
const ExplorePanel = lazy(async () => ({ default: (await import('./explore/ExplorePanel')).ExplorePanel }));
const ComparePanel = lazy(async () => ({ default: (await import('./compare/ComparePanel')).ComparePanel }));
const MethodsPanel = lazy(async () => ({ default: (await import('./methods/MethodsPanel')).MethodsPanel }));
const ExportPanel = lazy(async () => ({ default: (await import('./export/ExportPanel')).ExportPanel }));
const PlaygroundPanel = lazy(async () => ({ default: (await import('./playground/PlaygroundPanel')).PlaygroundPanel }));
const Palette = lazy(async () => ({ default: (await import('./shell/Palette')).Palette }));
const ArmsDialog = lazy(async () => ({ default: (await import('./compare/ArmsDialog')).ArmsDialog }));
const NoWebGpu = lazy(async () => ({ default: (await import('./unsupported/NoWebGpu')).NoWebGpu }));

/** Notices in the page's own tones; sonner's theme would set its own. */
const TOAST = { '--normal-bg': 'var(--over)', '--normal-border': 'var(--line-2)', '--normal-text': 'var(--text)', '--border-radius': '5px', fontFamily: 'var(--sans)' } as CSSProperties;

export function App() {
  // A screen or the palette is built in slices of a few milliseconds, while what is there keeps answering.
  const overlay = useDeferredValue(useStore(overlays, (state) => state.open));
  const theme = useStudio((state) => state.layout.theme);
  const panel = useDeferredValue(useStudio((state) => state.layout.panel));
  const status = useStudio((state) => state.engine.status);
  const give = useGiveFiles();
  usePage();
  useShortcuts();
  const onDrop = (event: DragEvent) => {
    event.preventDefault();
    void fromDrop(event.dataTransfer).then(give);
  };
  return (
    <Tooltip.Provider delayDuration={350}>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: dropping anywhere is a shortcut for the drop zones in Build. */}
      <div className={`app panel-${panel}`} onDragOver={(event) => event.preventDefault()} onDrop={onDrop}>
        <TopBar />
        <div className="stage">
          <EngineTrouble />
          <Suspense fallback={<main className="main-blank" aria-busy="true" />}>{status === 'unsupported' ? <NoWebGpu /> : <Screen panel={panel} />}</Suspense>
        </div>
        <StatusBar />
        <Stages phone />
      </div>
      {(overlay === 'palette' || overlay === 'arms') && <Suspense>{overlay === 'palette' ? <Palette /> : <ArmsDialog />}</Suspense>}
      <LiveRegion />
      <Toaster theme={theme} position="bottom-right" style={TOAST} />
    </Tooltip.Provider>
  );
}

function Screen({ panel }: { panel: Panel }) {
  switch (panel) {
    case 'build': return <BuildPanel />;
    case 'train': return <TrainPanel />;
    case 'explore': return <ExplorePanel />;
    case 'compare': return <ComparePanel />;
    case 'export': return <ExportPanel />;
    case 'methods': return <MethodsPanel />;
    case 'playground': return <PlaygroundPanel />;
  }
}

/** A device or an engine that went away and did not come back by itself, on every screen. */
function EngineTrouble() {
  const status = useStudio((state) => state.engine.status);
  const failure = useStudio((state) => state.engine.failure);
  const { store, ask } = useApp();
  if (status !== 'lost' && status !== 'crashed') return null;
  const words = status === 'lost' ? { title: strings.engine.lostTitle, hint: strings.engine.lostHint } : { title: strings.engine.crashedTitle, hint: strings.engine.crashedHint };
  return (
    <FailureBanner
      title={words.title}
      failure={{ name: failure?.name ?? 'Error', message: failure?.message ?? store.getState().engine.status, hint: failure?.hint || words.hint }}
      actions={
        <>
          {status === 'lost' && <button type="button" className="btn" onClick={() => void ask.recover()}>{strings.engine.askAgain}</button>}
          <button type="button" className="btn" onClick={() => location.reload()}>{strings.engine.reload}</button>
        </>
      }
    />
  );
}
