// What the command line prints: one JSON object a line, or words for people. Results go to stdout, everything else to stderr.
import { METRICS, type Metric, type Metrics } from '../training/tasks';

export interface Output {
  /** One event: a JSON line with --json, otherwise `text` (nothing when it is absent). */
  event(event: Record<string, unknown>, text?: string): void;
  /** A line about what is going on; on stderr, so that results stay clean. */
  note(text: string): void;
  /** Progress that replaces itself on a terminal, and is left out elsewhere. */
  progress(text: string): void;
}

export function createOutput(json: boolean): Output {
  const terminal = process.stderr.isTTY === true && !json;
  let shown = false;
  const clear = () => {
    if (shown) process.stderr.write('\r\x1b[K');
    shown = false;
  };
  return {
    event(event, text) {
      clear();
      if (json) process.stdout.write(`${JSON.stringify(event)}\n`);
      else if (text !== undefined) process.stdout.write(`${text}\n`);
    },
    note(text) {
      clear();
      process.stderr.write(`${text}\n`);
    },
    progress(text) {
      if (!terminal) return;
      process.stderr.write(`\r\x1b[K${text}`);
      shown = true;
    },
  };
}

export const bytesText = (bytes: number): string => (bytes < 2 ** 20 ? `${(bytes / 1024).toFixed(1)} KiB` : bytes < 2 ** 30 ? `${(bytes / 2 ** 20).toFixed(1)} MiB` : `${(bytes / 2 ** 30).toFixed(2)} GiB`);

/** ', accuracy 0.91, macro F1 0.90, MCC 0.80' */
export const metricsText = (metrics: Metrics): string => Object.entries(metrics).map(([name, value]) => `, ${METRICS[name as Metric].title} ${value.toFixed(4)}`).join('');
