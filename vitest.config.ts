import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['{packages,drivers,apps}/*/{src,test}/**/*.test.ts', 'tooling/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**'],
    // A process for each file: an LMDB environment is not to be opened twice in one.
    pool: 'forks',
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // `.ci/run` counts from the second.
    reporters: process.env.CI
      ? ['default', ['json', { outputFile: 'node_modules/.vitest/results.json' }]]
      : ['default'],
  },
})
