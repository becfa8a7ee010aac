import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { manifestFaults } from './packages.ts'

const engines = { node: '>=22' }
const sound = {
  name: '@stored/core',
  description: 'The contract.',
  license: 'MIT',
  type: 'module',
  engines,
  sideEffects: false,
  files: ['dist'],
  repository: { directory: 'packages/core' },
  publishConfig: { access: 'public' },
}

let temp: string
let directory: string
beforeAll(() => {
  temp = mkdtempSync(join(tmpdir(), 'stored-packages-'))
  directory = join(temp, 'packages', 'core')
  mkdirSync(directory, { recursive: true })
  for (const file of ['README.md', 'LICENSE']) writeFileSync(join(directory, file), '')
})
afterAll(() => rmSync(temp, { recursive: true }))

test('manifestFaults() finds none in a sound package', () => {
  expect(manifestFaults(directory, sound, { node: '>=22' })).toEqual([])
})

test.each([
  ['description', 'a description'],
  ['license', '"license": "MIT"'],
  ['type', '"type": "module"'],
  ['engines', 'the engines of the root'],
  ['sideEffects', '"sideEffects": false'],
  ['files', '"files": ["dist"]'],
  ['repository', 'its directory in "repository"'],
  ['publishConfig', '"publishConfig": { "access": "public" }'],
])('manifestFaults() says that %s is missing', (field, what) => {
  const { [field]: _, ...rest } = { ...sound } as Record<string, unknown>
  expect(manifestFaults(directory, rest as unknown as typeof sound, engines)).toEqual([`@stored/core lacks ${what}`])
})

test('manifestFaults() says which files are missing', () => {
  const elsewhere = join(temp, 'elsewhere', 'packages', 'core')
  expect(manifestFaults(elsewhere, sound, engines)).toEqual([
    '@stored/core lacks README.md',
    '@stored/core lacks LICENSE',
  ])
})
