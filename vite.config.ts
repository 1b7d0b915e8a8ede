/// <reference types="vitest/config" />
import { readFileSync } from 'node:fs';
import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';
import { VitePWA } from 'vite-plugin-pwa';

// Offline after the first visit: the page itself is kept by the service worker; models and data by the worker that fetches them.
const offline = VitePWA({
  // A new version takes over when the last tab is closed: a reload in the middle of a run would end it.
  registerType: 'prompt',
  injectRegister: false,
  manifest: {
    name: 'Lowrank Studio', short_name: 'Lowrank', description: 'Fine-tune a small model in this tab, on your own graphics card.', display: 'standalone',
    background_color: '#141718', theme_color: '#141718', icons: [{ src: 'icon.svg', sizes: 'any', type: 'image/svg+xml' }],
  },
  workbox: { globPatterns: ['**/*.{html,js,css,woff2,svg,wasm}'], globIgnores: ['models/**', 'data/**'], maximumFileSizeToCacheInBytes: 32 << 20, navigateFallback: 'index.html', clientsClaim: true, cleanupOutdatedCaches: true },
});

// Shaders go to the page without their comments, line by line so that errors still name the right one. `// tunable` is read by the engine.
const bareShaders = (): Plugin => ({
  name: 'bare-shaders',
  apply: 'build',
  enforce: 'pre',
  load(id) {
    const [path, query] = id.split('?');
    if (query !== 'raw' || !path?.endsWith('.wgsl')) return null;
    const text = readFileSync(path, 'utf8').split('\n').map((line) => line.replace(/\s*\/\/(?! tunable).*$/, '')).join('\n');
    return `export default ${JSON.stringify(text)};`;
  },
});

// The page is src/index.html; shaders are reached as text by `?raw`, so the dev server may read the whole project.
export default defineConfig({
  root: 'src',
  publicDir: '../public',
  plugins: [react(), offline, bareShaders()],
  worker: { format: 'es', plugins: () => [bareShaders()] },
  build: { outDir: '../dist/page', emptyOutDir: true, target: 'es2023' },
  server: { fs: { allow: ['..'] } },
  test: {
    include: ['**/*.test.{ts,tsx}'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // One Dawn device a worker process; two cores are what a small machine has.
    pool: 'forks',
    maxWorkers: 2,
  },
});
