// What a source is called where there is room for a few words.
import type { DataSource, ModelSource } from '../../store/contract';

export const sourceName = (source: ModelSource | DataSource) => (source.kind === 'builtin' ? source.id : source.name);
