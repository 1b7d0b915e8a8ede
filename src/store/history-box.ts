// The browser's database as the history needs it. Entries are handed on as they lie there; who reads them checks them.
import { openDB } from 'idb';
import type { KeptRun } from './kept-run';

export interface HistoryBox {
  all(): Promise<{ key: string; value: unknown }[]>;
  put(key: string, value: KeptRun): Promise<void>;
  remove(key: string): Promise<void>;
  /** The runs that still wait for their turn, as they were left. */
  queue(): Promise<unknown>;
  putQueue(value: unknown): Promise<void>;
}

const [RUNS, DESK] = ['runs', 'desk'];

export async function openHistoryBox(name = 'lowrank'): Promise<HistoryBox> {
  const db = await openDB(name, 1, {
    upgrade: (fresh) => {
      fresh.createObjectStore(RUNS);
      fresh.createObjectStore(DESK);
    },
    // A later version in another tab must not wait for this one.
    blocking: (_current, _blocked, event) => (event.target as IDBDatabase).close(),
  });
  return {
    all: async () => {
      const [keys, values] = await Promise.all([db.getAllKeys(RUNS), db.getAll(RUNS)]);
      return keys.map((key, i) => ({ key: String(key), value: values[i] as unknown }));
    },
    put: async (key, value) => void (await db.put(RUNS, value, key)),
    remove: (key) => db.delete(RUNS, key),
    queue: () => db.get(DESK, 'queue'),
    putQueue: async (value) => void (await db.put(DESK, value, 'queue')),
  };
}
