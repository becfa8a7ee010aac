import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { testDirectory } from '@stored/testing/directory'
import { expect, test } from 'vitest'
import { findCircles } from './circles.ts'

/** Circles among these files, each as `FILE:LINE: a → b → a`. */
async function circles(files: Readonly<Record<string, string>>): Promise<string[]> {
  const root = await testDirectory()
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, file)), { recursive: true })
    writeFileSync(join(root, file), text)
  }
  return findCircles(root, Object.keys(files)).map(({ file, line, path }) => `${file}:${line}: ${path.join(' → ')}`)
}

test('files that import each other are a circle', async () => {
  expect(
    await circles({
      'src/a.ts': `import { b } from './room/b.ts'`,
      'src/room/b.ts': `import { readFile } from 'node:fs'\nimport { c } from '../c.ts'`,
      'src/c.ts': `\n\nexport { a } from './a.ts'`,
    }),
  ).toEqual(['src/c.ts:3: src/a.ts → src/room/b.ts → src/c.ts → src/a.ts'])
})

test.each([
  ['import type { A }', `import type { A } from './a.ts'`],
  ['export type *', `export type * from './a.ts'`],
  ["import('./a.ts').A", `type B = import('./a.ts').A`],
])('so are files of which one imports only types: %s', async (_how, text) => {
  expect(await circles({ 'a.ts': `import './b.ts'`, 'b.ts': text })).toEqual(['b.ts:1: a.ts → b.ts → a.ts'])
})

test('a file that imports itself is a circle', async () => {
  expect(await circles({ 'a.ts': `import './a.ts'` })).toEqual(['a.ts:1: a.ts → a.ts'])
})

test('each circle of a file is found', async () => {
  const files = { 'a.ts': `import './b.ts'\nimport './c.ts'`, 'b.ts': `import './a.ts'`, 'c.ts': `import './a.ts'` }
  expect(await circles(files)).toEqual(['b.ts:1: a.ts → b.ts → a.ts', 'c.ts:1: a.ts → c.ts → a.ts'])
})

test('two ways to one file, and an import() at run time, are not a circle', async () => {
  expect(
    await circles({
      'a.ts': `import './b.ts'\nimport './c.ts'`,
      'b.ts': `import './d.ts'`,
      'c.ts': `import './d.ts'`,
      'd.ts': `export const load = () => import('./a.ts')`,
    }),
  ).toEqual([])
})
