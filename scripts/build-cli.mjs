// Bundles src/cli/main.ts into dist/cli.mjs: one file with the shaders inside; `webgpu` (Dawn, native) stays outside.
import { chmodSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { main, Problem, root } from './process.mjs';

await main(async () => {
  const entry = join(root, 'src', 'cli', 'main.ts');
  if (!existsSync(entry)) throw new Problem('src/cli/main.ts is missing: there is no command line to build.');
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
      rolldownOptions: { output: { entryFileNames: 'cli.mjs', codeSplitting: false, banner: '#!/usr/bin/env node' } },
    },
  });
  chmodSync(join(root, 'dist', 'cli.mjs'), 0o755);
});
