// The page's composition root: the only place where store, client and React meet.
import './ui/styles/index.css';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { toast } from 'sonner';
import { createApp } from './store/app';
import { pageClock } from './store/connect';
import { openHistoryBox } from './store/history-box';
import type { RunConfig } from './store/contract';
import { fromHash } from './store/link';
import { keepLayout, keptLayout } from './store/persist';
import { lockRuns } from './store/tab-lock';
import { App } from './ui/App';
import { AppContext } from './ui/context';
import { strings } from './ui/strings';
import { connectWorker } from './worker/client';

function draftOfAddress(): { draft?: RunConfig; problem?: string } {
  try {
    const draft = fromHash(location.hash);
    return draft ? { draft } : {};
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) };
  }
}

const theme = document.documentElement.dataset.theme === 'light' ? 'light' : 'dark';
const { draft, problem } = draftOfAddress();
const app = createApp(connectWorker(), pageClock, { history: () => openHistoryBox(), layout: { ...keptLayout(localStorageOrNone()), theme }, ...(draft ? { draft } : {}) });
keepLayout(app.store, localStorageOrNone());
lockRuns(app.store);

function localStorageOrNone(): Storage | undefined {
  try {
    return localStorage;
  } catch {
    return undefined;
  }
}

// Only what was built is kept for offline use; the dev server's files change under it.
if (import.meta.env.PROD && 'serviceWorker' in navigator) void navigator.serviceWorker.register(`${import.meta.env.BASE_URL}sw.js`).catch(() => {});

createRoot(document.getElementById('root') as HTMLElement).render(
  <StrictMode>
    <AppContext value={app}>
      <App />
    </AppContext>
  </StrictMode>,
);

const replaced = await app.ask.begin();
if (problem) toast.warning(strings.engine.badLink, { description: problem });
if (replaced.length > 0) toast.warning(strings.engine.replaced(replaced.join(', ')));
