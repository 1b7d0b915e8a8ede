// Builds and serves the page with the recorded engine behind it, once for a file of tests.
import { fileURLToPath } from 'node:url';
import { build, preview, type PreviewServer } from 'vite';

const configFile = fileURLToPath(new URL('./vite.page.config.ts', import.meta.url));

export async function serveRecordedPage(): Promise<{ url: string; close: () => Promise<void> }> {
  await build({ configFile, logLevel: 'error' });
  const server: PreviewServer = await preview({ configFile, logLevel: 'error', preview: { port: 0, host: '127.0.0.1' } });
  const url = server.resolvedUrls?.local[0];
  if (!url) throw new Error('the preview server has no address');
  return { url, close: () => server.close() };
}
