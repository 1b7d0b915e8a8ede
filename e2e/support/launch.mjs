// How the journeys and the demo start Chromium: headless, on software WebGPU, with nothing talking to the network.
import { findBrowser } from '../../scripts/install.mjs';
import { Problem } from '../../scripts/process.mjs';

/** What turns software WebGPU on in Chromium on a machine without a GPU. */
export const softwareFlags = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'];

const quietFlags = ['--disable-quic', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run'];

/** Launch options for Playwright's chromium. LOWRANK_BROWSER_GPU=1 uses the machine's real GPU instead. */
export async function launchOptions() {
  const executablePath = await findBrowser();
  if (!executablePath) throw new Problem("No Chromium found: 'npm test' installs one or says how.");
  const adapter = process.env.LOWRANK_BROWSER_GPU ? ['--enable-unsafe-webgpu', '--enable-features=Vulkan'] : softwareFlags;
  const sandbox = process.getuid?.() === 0 ? ['--no-sandbox'] : []; // Chromium refuses to run as root with it
  return { executablePath, headless: true, args: [...adapter, ...quietFlags, ...sandbox] };
}
