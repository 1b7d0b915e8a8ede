// Puts store, log, connection and asks together: everything the page needs, in one object.
import type { EngineClient } from '../worker/client';
import { type Commands, commands } from './commands';
import { type Clock, connect } from './connect';
import type { RunConfig } from './contract';
import { type DeviceCalls, deviceCalls } from './device-calls';
import { type Edits, edits } from './edits';
import { type Explore, createExplore } from './explore';
import { type History, keepHistory } from './history';
import type { HistoryBox } from './history-box';
import { MetricLog } from './metric-log';
import { driveQueue, type Queue } from './queue';
import { type Reconciler, reconcile } from './reconcile';
import type { LayoutSlice } from './slices/layout';
import { createStudioStore, type StudioStore } from './studio';
import { Vault } from './vault';

export interface StudioApp {
  store: StudioStore;
  log: MetricLog;
  vault: Vault;
  edit: Edits;
  ask: Commands;
  explore: Explore;
  reconciler: Reconciler;
  history: History;
  queue: Queue;
  device: DeviceCalls;
}

export function createApp(client: EngineClient, clock: Clock, start: { draft?: RunConfig; layout?: Partial<LayoutSlice>; history?: () => Promise<HistoryBox> } = {}): StudioApp {
  const store = createStudioStore(start);
  const log = new MetricLog();
  const vault = new Vault();
  const connection = connect(store, log, clock);
  const reconciler: Reconciler = reconcile(store, client, vault);
  const history = start.history ? keepHistory(store, log, start.history) : nothingKept;
  const ask = commands(store, client, connection, vault, log, history, () => reconciler);
  const queue = driveQueue(store, client, ask);
  const explore = createExplore(client, ask.wake);
  store.subscribe((now, before) => {
    if (now.engine.status === 'lost' && before.engine.status !== 'lost') explore.close();
  });
  return { store, log, vault, edit: edits(store), ask, explore, reconciler, history, queue, device: deviceCalls(client) };
}

const nothingKept: History = { open: async () => [], flush: async () => {}, remove: async () => {} };
