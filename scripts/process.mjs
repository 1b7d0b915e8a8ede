// Child processes with live output, and the few lines of terminal talk that the scripts share. Node built-ins only.
import { spawn } from 'node:child_process';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');

/** A failure that was foreseen: its message tells the whole story, so no stack is shown. */
export class Problem extends Error {}

export const say = (line = '') => process.stdout.write(`${line}\n`);

export function seconds(since) {
  const s = (performance.now() - since) / 1000;
  return s < 59.95 ? `${s.toFixed(1)} s` : `${Math.floor(Math.round(s) / 60)} min ${Math.round(s) % 60} s`;
}

/** Runs a script's main function; a Problem ends in one message and exit code 1. */
export async function main(work) {
  try {
    await work();
  } catch (error) {
    process.stderr.write(`\n${error instanceof Problem ? error.message : error?.stack ?? error}\n`);
    process.exitCode = 1;
  }
}

/** Names Node's major and minor version when it is too old; everything else here relies on it. */
export function requireNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  throw new Problem(
    `Lowrank Studio needs Node 20.19 or newer; this is ${process.versions.node} (${process.execPath}).\n` +
      'Install a current one from nodejs.org or your package manager and run the command again.',
  );
}

/**
 * Runs a command in the project's root with its output passed through. Resolves to its exit code (1 for a signal);
 * past `limitMs` the command is ended and `timedOut` is true.
 */
export function run(command, args, { env = {}, limitMs = 0 } = {}) {
  return new Promise((done, fail) => {
    const child = spawn(command, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } });
    let timedOut = false;
    const timer = limitMs && setTimeout(() => {
      timedOut = true;
      child.kill('SIGKILL');
    }, limitMs);
    child.on('error', fail);
    child.on('exit', (code, signal) => {
      clearTimeout(timer);
      done({ code: code ?? 1, signal, timedOut });
    });
  });
}

/** Runs a chatty command behind one line of progress; its output is shown only when it fails. */
export function runQuietly(title, command, args, { env = {}, shell = false } = {}) {
  const started = performance.now();
  const progress = progressLine(title);
  return new Promise((done, fail) => {
    const child = spawn(command, args, { cwd: root, env: { ...process.env, ...env }, shell, stdio: ['ignore', 'pipe', 'pipe'] });
    const output = [];
    const collect = (chunk) => {
      for (const line of String(chunk).split('\n')) if (line.trim()) output.push(line.trimEnd());
      progress.update(output.at(-1) ?? '');
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.on('error', (error) => {
      progress.end(`${title}: could not be started`);
      fail(new Problem(`${command}: ${error.message}`));
    });
    child.on('close', (code) => {
      progress.end(`${title}: ${code === 0 ? 'done' : 'failed'} (${seconds(started)})`);
      if (code === 0) return done(output.join('\n'));
      fail(new Problem(`'${[command, ...args].join(' ')}' ended with code ${code}:\n${output.slice(-25).join('\n')}`));
    });
  });
}

/** On a terminal one line that is rewritten; elsewhere a line every ten seconds, so that a log shows life. */
function progressLine(title) {
  const started = performance.now();
  const terminal = process.stdout.isTTY;
  let last = '';
  say(`${title} ...`);
  const show = () => {
    const line = `  ${seconds(started)}  ${last}`;
    if (terminal) process.stdout.write(`\r\x1b[K${line.slice(0, (process.stdout.columns || 80) - 1)}`);
    else say(line);
  };
  const timer = setInterval(show, terminal ? 250 : 10_000);
  return {
    update: (text) => {
      last = text;
    },
    end: (text) => {
      clearInterval(timer);
      say(`${terminal ? '\r\x1b[K' : ''}${text}`);
    },
  };
}

/** Runs a command and returns its exit code (1 where it cannot be started or takes too long) and what it printed. */
export function capture(command, args, { limitMs = 20_000 } = {}) {
  return new Promise((done) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    const timer = setTimeout(() => child.kill('SIGKILL'), limitMs);
    let [output, errors] = ['', ''];
    child.stdout.on('data', (chunk) => {
      output += chunk;
    });
    child.stderr.on('data', (chunk) => {
      errors += chunk;
    });
    child.on('error', ({ message }) => done({ code: 1, output: '', errors: message }));
    child.on('close', (code) => {
      clearTimeout(timer);
      done({ code: code ?? 1, output: output.trim(), errors: errors.trim() });
    });
  });
}
