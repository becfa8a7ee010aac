import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { mutate } from './mutant.ts'
import { MUTANTS } from './mutants.ts'

const ROOT = fileURLToPath(new URL('../../../../', import.meta.url))

/** Tests over sources that hold all mutants; at most one of them is at work. */
export default defineConfig({
  root: ROOT,
  test: {
    include: ['packages/node/test/mutants/*.mutants.ts', 'packages/*/{src,test}/**/*.test.ts'],
    setupFiles: ['packages/node/test/mutants/setup.ts'],
    pool: 'forks',
    testTimeout: 300_000,
    // Else what another list of mutants left is read again.
    fsModuleCache: false,
  },
  plugins: [
    {
      name: 'mutants',
      enforce: 'pre',
      load(id: string): string | null {
        const mutants = MUTANTS.filter(({ file }) => id.split('?')[0] === `${ROOT}${file}`)
        const [one] = mutants
        return one ? mutate(readFileSync(`${ROOT}${one.file}`, 'utf8'), mutants) : null
      },
    },
  ],
})
