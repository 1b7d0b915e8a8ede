// npm start: installs what is missing, builds the page when it changed, serves it and opens the browser.
//   --no-open      do not open a browser
//   --port N       first port to try (4173)
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import util from 'node:util';
import { softwareFlags } from '../e2e/support/launch.mjs';
import { ensureNodeModules, findBrowser } from './install.mjs';
import { ensurePage, pageFolder } from './page.mjs';
import { main, Problem, requireNode, root, say } from './process.mjs';
import { serve } from './server.mjs';

await main(async () => {
  requireNode();
  const { open, port } = options();
  await ensureNodeModules();
  await ensurePage();
  const { url, close } = await serve(pageFolder, port);
  say(`\n  Lowrank Studio is at  ${url}\n`);
  await adviseOnGpu(url);
  say('  Ctrl-C ends it.');
  endWith(close);
  if (open && hasDisplay()) await openBrowser(url);
});

function options() {
  try {
    const { values } = util.parseArgs({ options: { 'no-open': { type: 'boolean', default: false }, port: { type: 'string', default: '4173' } } });
    const port = Number(values.port);
    if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new Error(`--port: not a port: '${values.port}'`);
    return { open: !values['no-open'], port };
  } catch (error) {
    throw new Problem(`${error.message}\nUsage: npm start -- [--no-open] [--port N]`);
  }
}

/** Says how to get WebGPU where the browser will not have it by itself. */
async function adviseOnGpu(url) {
  if (process.platform !== 'linux') return; // macOS and Windows browsers bring WebGPU with them
  const browser = (await findBrowser()) || 'chromium';
  const sandbox = process.getuid() === 0 ? ' --no-sandbox' : '';
  if (hasGpu()) {
    say('  If the page finds no WebGPU (on Linux some browsers keep it off), start Chromium so:');
    say(`    ${browser} --enable-unsafe-webgpu --enable-features=Vulkan${sandbox} ${url}\n`);
    return;
  }
  say('  This machine shows no GPU. Software WebGPU is slower, and enough for the small models. Start Chromium so:');
  say(`    ${browser} ${softwareFlags.join(' ')}${sandbox} ${url}`);
  say('  (close a Chromium that is already open first: it would ignore the flags)\n');
}

function hasGpu() {
  const nodes = existsSync('/dev/dri') ? readdirSync('/dev/dri') : [];
  return nodes.some((name) => name.startsWith('renderD')) || ['/dev/nvidiactl', '/dev/dxg'].some(existsSync);
}

function hasDisplay() {
  if (process.env.CI) return false;
  return process.platform !== 'linux' || Boolean(process.env.DISPLAY || process.env.WAYLAND_DISPLAY);
}

/** The user's browser; on a Linux machine without a GPU a Chromium of its own profile, so that the flags take effect. */
async function openBrowser(url) {
  const browser = process.platform === 'linux' && !hasGpu() ? await findBrowser() : '';
  if (browser) {
    const profile = join(root, '.cache', 'browser');
    mkdirSync(profile, { recursive: true });
    const sandbox = process.getuid() === 0 ? ['--no-sandbox'] : [];
    return launch(browser, [...softwareFlags, ...sandbox, '--no-first-run', `--user-data-dir=${profile}`, url]);
  }
  if (process.platform === 'darwin') return launch('open', [url]);
  if (process.platform === 'win32') return launch('cmd', ['/c', 'start', '', url]);
  launch('xdg-open', [url]);
}

/** Starts a program and lets go of it; where it is not there, the address printed above is enough. */
function launch(command, args) {
  spawn(command, args, { stdio: 'ignore', detached: true }).on('error', () => {}).unref();
}

function endWith(close) {
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, async () => {
      await close();
      process.exit(0);
    });
  }
}
