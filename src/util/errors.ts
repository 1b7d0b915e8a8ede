// The named errors of the studio. House form: "where: what was wrong: what was got; what to do".
// `hint` is the remedy alone, so that a page can set it apart from the message.

export class StudioError extends Error {
  readonly hint: string;
  constructor(message: string, hint = '') {
    super(message);
    this.name = new.target.name;
    this.hint = hint;
  }
}

/** Tensor shapes that do not fit an op. */
export class ShapeError extends StudioError {}
/** A kernel was dispatched with a missing, unknown or mistyped binding or parameter. */
export class BindingError extends StudioError {}
/** The plan asks for more than the device allows; thrown before anything is allocated. */
export class DeviceLimitError extends StudioError {}
/** The GPU device went away. */
export class DeviceLostError extends StudioError {}
/** No usable WebGPU adapter; the hint says how to get one. */
export class NoDeviceError extends StudioError {}
/** A file of weights or of a run that cannot be what it claims to be. */
export class CheckpointError extends StudioError {}
/** A setting, or a model's config.json, that is wrong or not supported. */
export class ConfigError extends StudioError {}
/** A data file that cannot be used; names the file and the line. */
export class DataError extends StudioError {}
/** A table whose columns have no usual names, or were chosen in a way that cannot be: choosing again may help. */
export class ColumnsError extends DataError {
  constructor(message: string, hint: string, readonly columns: readonly string[]) {
    super(message, hint);
    this.name = 'DataError';
  }
}
/** The Hub refused a request, or could not be reached. */
export class HubError extends StudioError {}
/** The loss or the gradient norm became infinite or not-a-number; the last good state is kept. */
export class NonFiniteError extends StudioError {}

/** Somebody stopped what was going on; nothing is wrong. */
export class StoppedError extends StudioError {}

/** An error as it crosses a worker boundary or reaches a log. */
export interface Failure {
  name: string;
  message: string;
  hint: string;
  stack?: string;
  /** Columns of a table that nobody said how to read. */
  columns?: readonly string[];
}

export function toFailure(error: unknown): Failure {
  if (error instanceof Error) {
    const failure: Failure = { name: error.name, message: error.message, hint: error instanceof StudioError ? error.hint : '' };
    if (error.stack) failure.stack = error.stack;
    if (error instanceof ColumnsError) failure.columns = error.columns;
    return failure;
  }
  return { name: 'Error', message: String(error), hint: '' };
}
