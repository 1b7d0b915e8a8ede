// Brings in what a command needs and is missing: npm packages, Chromium, a Vulkan driver that Dawn accepts.
// Each step is a cheap look first, so that the second run costs nothing. Node built-ins only.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { capture, Problem, root, runQuietly } from './process.mjs';

const lockFile = join(root, 'package-lock.json');
const stamp = join(root, 'node_modules', '.lowrank-lock');

/** npm ci, unless node_modules is already what the lock file says. */
export async function ensureNodeModules() {
  const wanted = createHash('sha256').update(readFileSync(lockFile)).digest('hex');
  if (read(stamp) === wanted) return;
  if (!matchesLock()) {
    const [command, prefix] = npmCommand();
    const options = { shell: process.platform === 'win32' };
    await runQuietly('Installing npm packages', command, [...prefix, 'ci', '--no-audit', '--no-fund'], options);
  }
  writeFileSync(stamp, wanted);
}

/** Whether an npm install by hand already left every package of the lock file (those of other platforms may be missing). */
function matchesLock() {
  const installed = json(join(root, 'node_modules', '.package-lock.json'))?.packages;
  if (!installed) return false;
  return Object.entries(json(lockFile).packages).every(([path, { version, optional }]) =>
    path === '' || (installed[path] ? installed[path].version === version : optional),
  );
}

/** npm as npm itself names it while it runs a script, else from the PATH. */
function npmCommand() {
  const npm = process.env.npm_execpath;
  if (npm?.endsWith('.js')) return [process.execPath, [npm]];
  return ['npm', []];
}

/** The path of a Chromium that starts, installed through apt or Playwright where it was missing. */
export async function ensureBrowser() {
  const found = await findBrowser();
  if (found) return found;
  if (!isDebian()) await playwrightInstall();
  else if (canApt()) await apt('Installing Chromium', ['chromium', 'libvulkan1', 'fonts-liberation']);
  else throw new Problem(`The browser tests need Chromium. ${browserSteps()}`);
  const installed = await findBrowser();
  if (installed) return installed;
  throw new Problem(`Chromium was installed, but none that starts was found.\n${browserSteps()}`);
}

/** The first Chromium or Chrome that says its version; '' where there is none. LOWRANK_CHROMIUM names one. */
export async function findBrowser() {
  for (const path of [process.env.LOWRANK_CHROMIUM, ...browserPaths(), await playwrightChromium()]) {
    if (!path || !existsSync(path)) continue;
    if (process.platform === 'win32') return path; // there `--version` would open a window
    // Ubuntu's chromium is a stub that only names a snap; it prints no version.
    const { code, output } = await capture(path, ['--version']);
    if (code === 0 && /(Chromium|Chrome)\D* \d+/.test(output)) return path;
  }
  return '';
}

function browserPaths() {
  if (process.platform === 'darwin') {
    return ['/Applications/Chromium.app/Contents/MacOS/Chromium', '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'];
  }
  if (process.platform === 'win32') {
    const folders = [process.env.PROGRAMFILES, process.env['PROGRAMFILES(X86)'], process.env.LOCALAPPDATA].filter(Boolean);
    return folders.map((folder) => join(folder, 'Google', 'Chrome', 'Application', 'chrome.exe'));
  }
  return ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome', '/usr/bin/google-chrome-stable'];
}

async function playwrightChromium() {
  try {
    const { chromium } = await import('playwright');
    return chromium.executablePath();
  } catch {
    return ''; // node_modules may not be there yet
  }
}

async function playwrightInstall() {
  const cli = join(root, 'node_modules', 'playwright', 'cli.js');
  const args = [cli, 'install', ...(isRoot() && isLinux() ? ['--with-deps'] : []), 'chromium'];
  try {
    await runQuietly("Installing Playwright's Chromium", process.execPath, args);
  } catch (error) {
    throw new Problem(`${error.message}\n\nThe browser tests need Chromium. ${browserSteps()}`);
  }
}

function browserSteps() {
  if (isUbuntu()) return "On Ubuntu the chromium package is a snap, which tests cannot drive: run 'sudo npx playwright install --with-deps chromium'.";
  if (isDebian()) return "Run 'sudo apt-get install chromium libvulkan1 fonts-liberation' and try again.";
  return "Install Chromium or Chrome, or run 'npx playwright install chromium'; LOWRANK_CHROMIUM=/path/to/chromium names one elsewhere.";
}

/**
 * The backend for tests in Node: what LOWRANK_BACKEND says, else a software driver that Dawn accepts here and now,
 * so that results are the same on every machine. SwiftShader comes with Chromium.
 */
export async function ensureVulkan() {
  const wanted = process.env.LOWRANK_BACKEND;
  if (wanted) {
    const { backend, trouble } = await probe(wanted);
    if (backend) return backend;
    throw new Problem(`LOWRANK_BACKEND=${wanted}:\n${trouble}`);
  }
  const candidates = isLinux() ? ['lavapipe', 'swiftshader'] : ['auto'];
  let last = '';
  for (const bringIn of [null, ensureBrowser, aptVulkanLoader]) {
    await bringIn?.();
    for (const name of candidates) {
      const { backend, trouble } = await probe(name);
      if (backend) return backend;
      last = trouble;
    }
  }
  throw new Problem(`The tests found no software WebGPU adapter.\n${last}`);
}

async function aptVulkanLoader() {
  if (canApt()) await apt('Installing the Vulkan loader', ['libvulkan1']);
}

/** Opens a backend in a process of its own: what it is, or why it could not be had. */
async function probe(name) {
  const { code, output, errors } = await capture(process.execPath, [join(root, 'scripts', 'probe-gpu.mjs'), name]);
  // Drivers print warnings of their own; the answer is the last line.
  if (code === 0) return { backend: { name, description: output.split('\n').at(-1) } };
  return { trouble: errors };
}

async function apt(title, packages) {
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  await runQuietly('Reading the package lists', 'apt-get', ['update'], { env });
  await runQuietly(`${title} (${packages.join(', ')})`, 'apt-get', ['install', '-y', '--no-install-recommends', ...packages], { env });
}

const isLinux = () => process.platform === 'linux';
const isRoot = () => process.getuid?.() === 0;
const osRelease = () => read('/etc/os-release') ?? '';
const isDebian = () => /^ID(_LIKE)?=.*debian/m.test(osRelease()) && !isUbuntu();
const isUbuntu = () => /^ID(_LIKE)?=.*ubuntu/m.test(osRelease());
const canApt = () => isRoot() && existsSync('/usr/bin/apt-get') && (isDebian() || isUbuntu());

function read(path) {
  return existsSync(path) ? readFileSync(path, 'utf8') : null;
}

function json(path) {
  const text = read(path);
  return text === null ? null : JSON.parse(text);
}
