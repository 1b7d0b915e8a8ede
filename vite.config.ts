/// <reference types="vitest/config" />
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';
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

// The page is src/index.html; shaders are reached as text by `?raw`, so the dev server may read the whole project.
export default defineConfig({
  root: 'src',
  publicDir: '../public',
  plugins: [react(), offline],
  worker: { format: 'es' },
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
