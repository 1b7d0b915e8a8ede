// Repositories of the Hub that were looked up, and adapters that were put on the loaded model.
import type { AdapterCard, Failure, HubCard } from '../contract';

export interface LookUp { status: 'idle' | 'looking' | 'found' | 'failed'; name: string; card: HubCard | null; error: Failure | null }

export interface SourcesSlice {
  hub: { model: LookUp; dataset: LookUp };
  /** On the model of `project.model.card`; another model starts without any. */
  adapters: readonly AdapterCard[];
  adapterError: Failure | null;
  /** The adapter that the next run goes on from. */
  trainOn: string | null;
}

const nothing: LookUp = { status: 'idle', name: '', card: null, error: null };
export const initialSources: SourcesSlice = { hub: { model: nothing, dataset: nothing }, adapters: [], adapterError: null, trainOn: null };
