// Builds the page, and only when something that goes into it has changed since the last build.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Problem, root, runQuietly, say } from './process.mjs';

export const pageFolder = join(root, 'dist', 'page');
const stamp = join(root, 'dist', '.page-stamp');
const sources = ['src', 'shaders', 'public', 'vite.config.ts', 'tsconfig.json', 'package-lock.json'];

/** Builds dist/page where it is missing or stale. */
export async function ensurePage() {
  const state = sourceState();
  if (existsSync(join(pageFolder, 'index.html')) && read(stamp) === state) return;
  if (!existsSync(join(root, 'src', 'index.html'))) throw new Problem('src/index.html is missing: there is no page to build.');
  const vite = join(root, 'node_modules', 'vite', 'bin', 'vite.js');
  await runQuietly('Building the page', process.execPath, [vite, 'build']);
  mkdirSync(join(root, 'dist'), { recursive: true });
  writeFileSync(stamp, state);
  say();
}

/** Name, size and time of every source file, hashed: quick, and a change of content changes one of them. */
function sourceState() {
  const hash = createHash('sha256');
  for (const path of sources.flatMap((name) => files(join(root, name)))) {
    const { size, mtimeMs } = statSync(path);
    hash.update(`${path}\0${size}\0${mtimeMs}\n`);
  }
  return hash.digest('hex');
}

/** Every file under a path, tests left out: they are not part of the page. */
function files(path) {
  if (!existsSync(path)) return [];
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path, { withFileTypes: true })
    .filter(({ name }) => name !== 'node_modules' && !/\.(test|bench|reference)\.tsx?$/.test(name))
    .flatMap((entry) => (entry.isDirectory() ? files(join(path, entry.name)) : [join(path, entry.name)]))
    .sort();
}

function read(path) {
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}
