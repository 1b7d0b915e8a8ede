// npm test: installs what is missing, then runs the unit and golden tests in Node, builds, and runs the journeys in
// Chromium. Ends in the line `N passed, N failed`; the exit code is 0 only when tests ran and none failed.
//   --unit, --e2e   only that part
//   FILTER ...      only test files whose path contains one of these
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import util from 'node:util';
import { ensureBrowser, ensureNodeModules, ensureVulkan } from './install.mjs';
import { ensurePage, pageFolder } from './page.mjs';
import { main, Problem, requireNode, root, run, runQuietly, say, seconds } from './process.mjs';
import { serve } from './server.mjs';

// A driver that hangs must not hang the suite for ever.
const RUNNER_LIMIT_MS = 30 * 60_000;

const bin = (...path) => join(root, 'node_modules', ...path);
const reports = mkdtempSync(join(tmpdir(), 'lowrank-tests-'));
/** One row a stage: its name, what it counted, how long it took, and what went wrong beside single tests. */
const stages = [];

await main(async () => {
  requireNode();
  try {
    await testAll(options());
  } finally {
    rmSync(reports, { recursive: true, force: true });
  }
});

async function testAll({ unit, e2e, filters }) {
  const started = performance.now();
  await ensureNodeModules();
  if (unit) await unitTests(filters);
  if (e2e) await journeys(filters);
  report(started);
}

function options() {
  try {
    const { values, positionals } = util.parseArgs({
      options: { unit: { type: 'boolean', default: false }, e2e: { type: 'boolean', default: false } },
      allowPositionals: true,
    });
    const both = values.unit === values.e2e;
    return { unit: both || values.unit, e2e: both || values.e2e, filters: positionals };
  } catch (error) {
    throw new Problem(`${error.message}\nUsage: npm test -- [--unit] [--e2e] [FILTER ...]`);
  }
}

async function unitTests(filters) {
  const { name, description } = await ensureVulkan();
  say(`\nUnit and golden tests in Node on ${description}`);
  const file = join(reports, 'unit.json');
  const args = [bin('vitest', 'vitest.mjs'), 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
  // With a filter the files may all be journeys.
  if (filters.length > 0) args.push('--passWithNoTests', ...filters);
  await stage('unit', () => run(process.execPath, args, { env: { LOWRANK_BACKEND: name }, limitMs: RUNNER_LIMIT_MS }), () => countVitest(file));
}

async function journeys(filters) {
  const specs = specFiles(filters);
  if (specs.length === 0) {
    if (filters.length === 0) stages.push({ name: 'journeys', passed: 0, failed: 1, skipped: 0, took: '', trouble: 'are missing: no e2e/*.spec.ts' });
    return;
  }
  const browser = await ensureBrowser();
  if (!(await built())) return;
  const server = await serve(pageFolder, 0);
  say(`\nJourneys in ${browser} at ${server.url}`);
  const file = join(reports, 'e2e.json');
  const args = [bin('@playwright', 'test', 'cli.js'), 'test', '--config', join('e2e', 'playwright.config.ts'), '--reporter=list,json', ...specs];
  const env = { LOWRANK_URL: server.url, LOWRANK_CHROMIUM: browser, PLAYWRIGHT_JSON_OUTPUT_FILE: file };
  await stage('journeys', () => run(process.execPath, args, { env, limitMs: RUNNER_LIMIT_MS }), () => countPlaywright(file));
  await server.close();
}

/** Builds page and command line; a build that fails is one failed test. */
async function built() {
  say();
  const started = performance.now();
  try {
    await ensurePage();
    await runQuietly('Building the command line', process.execPath, [join(root, 'scripts', 'build-cli.mjs')]);
    stages.push({ name: 'build', passed: 0, failed: 0, skipped: 0, took: seconds(started) });
    return true;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    say(error.message);
    stages.push({ name: 'build', passed: 0, failed: 1, skipped: 0, took: seconds(started), trouble: 'failed, so no journey ran' });
    return false;
  }
}

/** Journeys whose path contains a filter; all of them without one. */
function specFiles(filters) {
  return readdirSync(join(root, 'e2e'), { recursive: true })
    .map((name) => relative(root, join(root, 'e2e', name)))
    .filter((path) => path.endsWith('.spec.ts'))
    .filter((path) => filters.length === 0 || filters.some((text) => path.includes(text)))
    .sort();
}

/**
 * Runs one runner and counts its report. A runner that crashes, hangs or ends non-zero without a failed test
 * counts as a failure of its own, so that nothing can pass by dying.
 */
async function stage(name, start, count) {
  const started = performance.now();
  const { code, signal, timedOut } = await start();
  const row = { name, passed: 0, failed: 0, skipped: 0, took: '' };
  try {
    Object.assign(row, count());
  } catch (error) {
    row.trouble = `left no readable report (${error.message})`;
  }
  if (timedOut) row.trouble = `was ended after ${RUNNER_LIMIT_MS / 60_000} minutes`;
  else if (signal) row.trouble = `was ended by ${signal}`;
  else if (code !== 0 && row.failed === 0) row.trouble ??= `ended with code ${code} though no test failed`;
  if (row.trouble) row.failed += 1;
  stages.push({ ...row, took: seconds(started) });
}

function countVitest(file) {
  const report = JSON.parse(readFileSync(file, 'utf8'));
  // A file that cannot even be loaded has no tests to fail; it is one failure.
  const broken = report.testResults.filter(({ status, assertionResults }) => status === 'failed' && !assertionResults.some((test) => test.status === 'failed'));
  const slowest = report.testResults
    .map(({ name, startTime, endTime }) => ({ name: relative(root, name), ms: endTime - startTime }))
    .sort((a, b) => b.ms - a.ms)
    .slice(0, 8);
  const failures = report.testResults.flatMap(({ name, assertionResults }) =>
    assertionResults.filter((test) => test.status === 'failed').map((test) => `${relative(root, name)}: ${test.fullName}`),
  );
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + broken.length,
    skipped: report.numPendingTests + (report.numTodoTests ?? 0),
    slowest,
    failures: [...failures, ...broken.map(({ name }) => `${relative(root, name)}: could not be loaded`)],
  };
}

function countPlaywright(file) {
  const { stats, errors, suites } = JSON.parse(readFileSync(file, 'utf8'));
  const slowest = (suites ?? []).map((suite) => ({ name: join('e2e', suite.file), ms: duration(suite) })).sort((a, b) => b.ms - a.ms);
  const named = (wanted) => specs({ suites }).filter(wanted).map(({ file: path, title }) => `${join('e2e', path)}: ${title}`);
  const failures = named(({ ok }) => !ok);
  const unsteady = named(({ ok, tests }) => ok && tests.some(({ status }) => status === 'flaky'));
  return { passed: stats.expected + stats.flaky, failed: stats.unexpected + errors.length, skipped: stats.skipped, slowest, failures, unsteady };
}

/** The tests of a suite and of those inside it. */
function specs(suite) {
  return [...(suite.specs ?? []), ...(suite.suites ?? []).flatMap(specs)];
}

function duration(suite) {
  return specs(suite).flatMap(({ tests }) => tests.flatMap(({ results }) => results)).reduce((sum, result) => sum + result.duration, 0);
}

function report(started) {
  say('\nSlowest files');
  for (const { name, ms } of stages.flatMap(({ slowest }) => slowest ?? [])) say(`  ${(ms / 1000).toFixed(1).padStart(7)} s  ${name}`);
  const failures = stages.flatMap((row) => row.failures ?? []);
  if (failures.length > 0) say('\nFailed');
  for (const failure of failures) say(`  ${failure}`);
  const unsteady = stages.flatMap((row) => row.unsteady ?? []);
  if (unsteady.length > 0) say('\nUnsteady: failed once, then passed');
  for (const name of unsteady) say(`  ${name}`);
  say('\nStages');
  for (const { name, passed, failed, skipped, took, trouble } of stages) {
    say(`  ${name.padEnd(9)} ${took.padStart(12)}   passed ${passed}, failed ${failed}, skipped ${skipped}${trouble ? `: ${name} ${trouble}` : ''}`);
  }
  say(`  ${'in all'.padEnd(9)} ${seconds(started).padStart(12)}`);
  const total = (key) => stages.reduce((sum, row) => sum + row[key], 0);
  const [passed, failed, skipped] = [total('passed'), total('failed'), total('skipped')];
  if (passed + failed === 0) say('\nNo test ran.');
  say(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
  process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
}
