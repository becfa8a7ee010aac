import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['{packages,drivers,apps}/*/{src,test}/**/*.test.ts', 'tooling/**/*.test.ts'],
    // A template's tests are those of the package that is made of it.
    exclude: ['**/node_modules/**', '**/dist/**', '**/template/**'],
    // A process for each file: an LMDB environment is not to be opened twice in one.
    pool: 'forks',
    // For what hangs. A machine that does other things as well takes many times as long as a quiet one, and no test is to tell them apart.
    testTimeout: 300_000,
    // A busy disk may take seconds for a flush: what is awaited comes or never does.
    expect: { poll: { timeout: 60_000 } },
    hookTimeout: 300_000,
    // `.ci/run` counts from the second.
    reporters: process.env.CI
      ? ['default', ['json', { outputFile: 'node_modules/.vitest/results.json' }]]
      : ['default'],
  },
})
