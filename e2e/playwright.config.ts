import { defineConfig } from '@playwright/test';
import { launchOptions } from './support/launch.mjs';

// `npm test` serves the page itself and names it in LOWRANK_URL; `npm run e2e` has Playwright start a server.
const port = 4180;
const given = process.env.LOWRANK_URL;

export default defineConfig({
  testDir: '.',
  outputDir: '../out/test-results',
  // One software GPU on two cores: journeys run one after the other, and a step takes its time.
  workers: 1,
  fullyParallel: false,
  // A browser on a shared machine may stall once. What fails and then passes is named as unsteady, to be mended.
  retries: 1,
  timeout: 240_000,
  expect: { timeout: 30_000 },
  forbidOnly: Boolean(process.env.CI),
  reporter: [['list']],
  use: {
    baseURL: given ?? `http://127.0.0.1:${port}/`,
    viewport: { width: 1440, height: 900 },
    launchOptions: await launchOptions(),
    trace: 'retain-on-failure',
    screenshot: 'only-on-failure',
  },
  ...(given ? {} : { webServer: { command: `node ../scripts/start.mjs --no-open --port ${port}`, port, timeout: 300_000, reuseExistingServer: true } }),
});
