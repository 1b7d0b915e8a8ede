// lowrank script: many command lines in one process, which keeps the device, its kernels, models and tokenised data between them.
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { DataError } from '../../util/errors';
import { UsageError, parse } from '../options';
import { shareSession } from '../session';

/** Runs one command line and says with which code it ended: what main() does with a verb. */
export type Runner = (args: readonly string[]) => Promise<number>;

/**
 * Each line is a JSON list of arguments, as they would stand after `lowrank`; each command ends with a line {"event":"script","line",
 * "code","seconds"}. A command that fails does not keep the next from running; the script's code is that of the first that failed.
 */
export function scriptVerb(run: Runner): Runner {
  return async (args) => {
    const { positionals: [path] } = parse('script', args, {}, 1);
    if (path === undefined) throw new UsageError('script: give a file of JSON lists, one command a line, or - for standard input');
    shareSession();
    const lines = createInterface({ input: path === '-' ? process.stdin : createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY });
    let [line, first] = [0, 0];
    for await (const text of lines) {
      line++;
      if (text.trim() === '') continue;
      const from = performance.now();
      const code = await run(commandOf(path, line, text));
      first ||= code;
      process.stdout.write(`${JSON.stringify({ event: 'script', line, code, seconds: (performance.now() - from) / 1000 })}\n`);
    }
    return first;
  };
}

function commandOf(path: string, line: number, text: string): string[] {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new DataError(`${path}: line ${line}: not valid JSON: ${(error as Error).message}`, 'Write ["finetune", "--model", …], one command a line.');
  }
  if (!Array.isArray(json) || !json.every((part) => typeof part === 'string')) throw new DataError(`${path}: line ${line}: wanted a list of texts, got ${text.slice(0, 80)}`, 'Write ["finetune", "--model", …], one command a line.');
  if (json[0] === 'script') throw new DataError(`${path}: line ${line}: a script runs no script`, 'Put its lines here.');
  return json;
}
