// The page with a recorded engine behind it: the product's own build, in which only the worker's script is another file.
// For tests of the page alone; nothing of this is part of any build that ships.
import { fileURLToPath } from 'node:url';
import { mergeConfig, type Plugin, type UserConfig } from 'vite';
import product from '../../vite.config';

const engine = fileURLToPath(new URL('../../src/worker/engine.worker.ts', import.meta.url));
const recorded = fileURLToPath(new URL('./recorded.worker.ts', import.meta.url));

/** Puts the recorded worker where the page asks for the engine's, whether or not that one exists. */
const recordedEngine = (): Plugin => ({
  name: 'recorded-engine',
  enforce: 'pre',
  resolveId: (id) => (id.split('?')[0] === engine ? id.replace(engine, recorded) : null),
  transform: (code, id) => (id.endsWith('/worker/client.ts') ? code.replace("'./engine.worker.ts'", JSON.stringify('../../e2e/support/recorded.worker.ts')) : null),
});

const page: UserConfig = {
  plugins: [recordedEngine()],
  worker: { plugins: () => [recordedEngine()] },
  build: { outDir: fileURLToPath(new URL('../../dist/page-recorded', import.meta.url)), emptyOutDir: true },
};

export default mergeConfig(product as UserConfig, page);
