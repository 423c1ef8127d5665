import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Real servers, child processes and compilers share two cores.
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    reporters: ['default'],
    // Only with --coverage.
    coverage: {
      provider: 'v8',
      include: ['src/**'],
      reporter: ['text', 'html', 'lcovonly'],
      thresholds: {
        // What judges a delivery: nothing in it goes untried.
        'src/{core,providers}/**': { lines: 100, branches: 100 },
        'src/!(core|providers)/**': { lines: 95, branches: 95 },
        'src/*.ts': { lines: 95, branches: 95 },
      },
    },
  },
});
