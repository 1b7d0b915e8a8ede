// Bundles src/cli/main.ts into dist/cli.mjs: one file with the shaders inside; `webgpu` (Dawn, native) stays outside.
// With --peers also bench/peers into dist/peers.mjs, for `lowrank bench peers`; its packages are installed when they are missing.
import { chmodSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { main, Problem, root, runQuietly } from './process.mjs';

async function bundle(entry, file, banner = '') {
  if (!existsSync(entry)) throw new Problem(`${entry} is missing: there is nothing to build.`);
  const { build } = await import('vite');
  await build({
    root,
    configFile: false,
    publicDir: false,
    logLevel: 'warn',
    ssr: { noExternal: true, external: ['webgpu'] },
    build: {
      ssr: entry,
      outDir: 'dist',
      emptyOutDir: false, // the page is in dist too
      target: 'node20',
      minify: false, // a stack trace should name the function
      rolldownOptions: { output: { entryFileNames: file, codeSplitting: false, banner } },
    },
  });
}

await main(async () => {
  await bundle(join(root, 'src', 'cli', 'main.ts'), 'cli.mjs', '#!/usr/bin/env node');
  chmodSync(join(root, 'dist', 'cli.mjs'), 0o755);
  if (!process.argv.includes('--peers')) return;
  const peers = join(root, 'bench', 'peers');
  if (!existsSync(join(peers, 'node_modules'))) await runQuietly('installing the peers', 'npm', ['ci', '--prefix', peers, '--no-audit', '--no-fund']);
  await bundle(join(peers, 'peers.ts'), 'peers.mjs');
});
