// The setup that the user edits, and what came of it: the loaded model, the loaded data, the plan.
import { type DataCard, defaultRun, type Failure, type ModelCard, type Plan, type RunConfig } from '../contract';

/** Something loaded for a key. A newer key may be loading while the card of the older one is still shown. */
export interface Loaded<Card, Source> {
  status: 'idle' | 'loading' | 'ready' | 'failed';
  /** What was last asked for; compared with what the draft wants. */
  key: string;
  card: Card | null;
  error: Failure | null;
  /** The last source that loaded, to go back to. */
  good: Source | null;
}

export interface ProjectSlice {
  draft: RunConfig;
  model: Loaded<ModelCard, RunConfig['model']>;
  data: Loaded<DataCard, RunConfig['data']>;
  plan: { status: 'idle' | 'planning' | 'ready' | 'failed'; key: string; plan: Plan | null; error: Failure | null };
  /** Why the last Train press came to nothing. */
  startError: Failure | null;
  /** The user wrote the sample prompt; choosing other data leaves it alone from then on. */
  promptEdited: boolean;
}

const nothing = { status: 'idle' as const, key: '', card: null, error: null, good: null };

export function initialProject(draft: RunConfig = defaultRun): ProjectSlice {
  return {
    draft,
    model: nothing,
    data: nothing,
    plan: { status: 'idle', key: '', plan: null, error: null },
    startError: null,
    promptEdited: draft.sample.prompt !== defaultRun.sample.prompt,
  };
}
