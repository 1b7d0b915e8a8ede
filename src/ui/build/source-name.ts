// What a source is called where there is room for a few words: its title in the catalogue, or the file's name.
import type { DataSource, ModelSource } from '../../store/contract';

export function sourceName(source: ModelSource | DataSource, catalogue: readonly { id: string; title: string }[] = []): string {
  return source.kind === 'builtin' ? (catalogue.find((entry) => entry.id === source.id)?.title ?? source.id) : source.name;
}
