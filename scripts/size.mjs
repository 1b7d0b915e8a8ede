// npm run size: lines and a rough token count of every source file, largest first, and totals by folder.
// A token here is a word, a run of digits or a single other sign; it shows growth, it is no tokenizer's count.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { root, say } from './process.mjs';

const folders = ['src', 'shaders', 'scripts', 'e2e', 'bench', 'docs'];
const kinds = new Set(['.ts', '.tsx', '.mjs', '.mts', '.js', '.wgsl', '.css', '.html', '.md']);

const files = folders.flatMap(sourceFiles).map((path) => ({ path, ...measure(readFileSync(join(root, path), 'utf8')) }));

say('Files');
for (const file of files.sort((a, b) => b.tokens - a.tokens)) print(file.path, file);
say('\nFolders');
for (const [path, total] of [...byFolder(files)].sort((a, b) => b[1].tokens - a[1].tokens)) print(path, total);
say('\nAll');
print(`${files.length} files`, sum(files));

function sourceFiles(folder) {
  try {
    return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && kinds.has(extname(entry.name)) && !entry.parentPath.includes('node_modules'))
      .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1));
  } catch {
    return []; // a folder that does not exist yet
  }
}

function measure(text) {
  return { lines: text.split('\n').length - 1, tokens: text.match(/[A-Za-z_]+|\d+|[^\s\w]/g)?.length ?? 0 };
}

function byFolder(list) {
  const totals = new Map();
  for (const { path, lines, tokens } of list) {
    const folder = dirname(path);
    const total = totals.get(folder) ?? { lines: 0, tokens: 0 };
    totals.set(folder, { lines: total.lines + lines, tokens: total.tokens + tokens });
  }
  return totals;
}

function sum(list) {
  return list.reduce((total, { lines, tokens }) => ({ lines: total.lines + lines, tokens: total.tokens + tokens }), { lines: 0, tokens: 0 });
}

function print(name, { lines, tokens }) {
  say(`${String(lines).padStart(7)} lines ${String(tokens).padStart(8)} tokens  ${name}`);
}
