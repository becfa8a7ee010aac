import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { testDirectory } from '@stored/testing/directory'
import { expect, test } from 'vitest'
import { findUnused } from './exports.ts'

async function unused(files: Record<string, string>): Promise<string[]> {
  const root = await testDirectory()
  const manifest = JSON.stringify({ name: '@stored/a', exports: { '.': './src/index.ts' } })
  for (const [file, text] of Object.entries({ 'packages/a/package.json': manifest, ...files })) {
    mkdirSync(dirname(join(root, file)), { recursive: true })
    writeFileSync(join(root, file), text)
  }
  return findUnused(root)
}

test('every export has a caller', () => {
  expect(findUnused(fileURLToPath(new URL('../..', import.meta.url)))).toEqual([])
}, 60_000)

test('an export that no file imports is found, and one that only a test imports', async () => {
  expect(
    await unused({
      'packages/a/src/one.ts': 'export const nobody = 1\nexport function tested() {}\nexport const used = 2',
      'packages/a/src/two.ts': `import { used } from './one.ts'`,
      'packages/a/src/one.test.ts': `import { tested } from './one.ts'`,
    }),
  ).toEqual([
    'packages/a/src/one.ts:1: no other file imports nobody',
    'packages/a/src/one.ts:2: only tests import tested',
  ])
})

test('something its own file uses may be exported for a test, and a type without any importer', async () => {
  expect(
    await unused({
      'packages/a/src/one.ts': 'export const part = 1\nexport interface O { a: 1 }\nexport const used = (_: O) => part',
      'packages/a/src/two.ts': `const { used } = await import('./one.ts')`,
      'packages/a/src/one.test.ts': `import { part } from './one.ts'`,
    }),
  ).toEqual([])
})

test('a value of an entry must be used by another package or named in the documentation; imports within its own package do not count', async () => {
  expect(
    await unused({
      'packages/a/src/index.ts': `export { lost, named, used, type T } from './one.ts'`,
      'packages/a/src/one.ts': 'export const lost = 1, named = 2, used = 3\nexport type T = 1',
      'packages/a/src/two.test.ts': `import { lost } from './index.ts'`,
      'packages/b/src/index.ts': `import { used } from '@stored/a'`,
      'packages/a/README.md': 'Call `named`.',
    }),
  ).toEqual(['packages/a/src/index.ts:1: no other package and no documentation uses lost'])
})
