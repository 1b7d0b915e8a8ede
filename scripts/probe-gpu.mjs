// Opens WebGPU in Node on the backend named and prints what it found: `node scripts/probe-gpu.mjs swiftshader`.
// A process of its own, since a driver that fails can take the process with it.
import { createServer } from 'vite';
import { root } from './process.mjs';

const vite = await createServer({ root, configFile: false, logLevel: 'error', server: { middlewareMode: true, ws: false, watch: null }, appType: 'custom' });
try {
  const { openNodeGpu } = await vite.ssrLoadModule('/src/cli/node-gpu.ts');
  const { backend, description } = await openNodeGpu(process.argv[2] ?? 'auto');
  process.stdout.write(`${backend}: ${description}\n`);
} catch (error) {
  process.stderr.write(`${error.message}\n${error.hint ?? ''}\n`);
  process.exitCode = 4;
} finally {
  await vite.close();
}
