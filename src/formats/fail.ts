// The one way in which the file readers and writers of this folder complain.
import { CheckpointError, StudioError } from '../util/errors';

/** A CheckpointError "where: what was wrong: what was got; what to do". */
export function bad(where: string, wrong: string, got: string, todo: string): CheckpointError {
  return new CheckpointError(`${where}: ${wrong}: ${got}; ${todo}`, todo);
}

/** Any value, short enough for a message: names and values in a damaged file can be megabytes long. */
export function show(value: unknown): string {
  if (typeof value === 'string' && /^[\w./ -]+$/.test(value)) return clip(value);
  try {
    return clip(JSON.stringify(value) ?? String(value));
  } catch {
    // JSON.parse reads brackets nested a hundred thousand deep; JSON.stringify runs out of stack on them.
    return 'a value nested too deeply to show';
  }
}

export function clip(text: string): string {
  return text.length > 120 ? `${text.slice(0, 117)}...` : text;
}

/** The first few of a list, and how many more there are. */
export function showList(values: readonly string[]): string {
  const first = values.slice(0, 6).map(show).join(', ') || 'none';
  return values.length > 6 ? `${first} and ${values.length - 6} more` : first;
}

/** Errors of ours pass; anything else a reader of bytes throws becomes a named one. */
export function asCheckpointError(error: unknown, where: string, wrong: string, todo: string): StudioError {
  return error instanceof StudioError ? error : bad(where, wrong, error instanceof Error ? error.message : show(error), todo);
}
