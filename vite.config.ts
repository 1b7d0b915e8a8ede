/// <reference types="vitest/config" />
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

// The page is src/index.html; shaders are reached as text by `?raw`, so the dev server may read the whole project.
export default defineConfig({
  root: 'src',
  publicDir: '../public',
  plugins: [react()],
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
