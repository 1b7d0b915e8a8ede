// Puts store, log, connection and asks together: everything the page needs, in one object.
import type { EngineClient } from '../worker/client';
import { type Commands, commands } from './commands';
import { type Clock, connect } from './connect';
import type { RunConfig } from './contract';
import { type Edits, edits } from './edits';
import { type Explore, createExplore } from './explore';
import { MetricLog } from './metric-log';
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
}

export function createApp(client: EngineClient, clock: Clock, start: { draft?: RunConfig; layout?: Partial<LayoutSlice> } = {}): StudioApp {
  const store = createStudioStore(start);
  const log = new MetricLog();
  const vault = new Vault();
  const connection = connect(store, log, clock);
  const reconciler: Reconciler = reconcile(store, client, vault);
  const ask = commands(store, client, connection, vault, () => reconciler);
  return { store, log, vault, edit: edits(store), ask, explore: createExplore(client), reconciler };
}
