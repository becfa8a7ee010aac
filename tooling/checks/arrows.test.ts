import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { testDirectory } from '@stored/testing/directory'
import { expect, test } from 'vitest'
import { findViolations } from './arrows.ts'

type Tree = Record<string, string | object>

const core = { name: '@stored/core', exports: { '.': './src/index.ts', './backend': './src/backend.ts' } }
const exporting = (name: string, dependencies: object = {}, devDependencies: object = {}) => ({
  name,
  exports: { '.': './src/index.ts' },
  dependencies,
  devDependencies,
})
/** A small repository in which every arrow holds. */
const sound: Tree = {
  'package.json': {
    name: 'monorepo',
    private: true,
    devDependencies: { vitest: '*', typescript: '*', '@stored/testing': '*' },
  },
  'tooling/check.ts': `import ts from 'typescript'`,
  'packages/core/package.json': core,
  'packages/core/src/backend.ts': `export * from './backend/error.ts'`,
  'packages/core/src/backend/error.ts': `import { inspect } from 'node:util'`,
  'packages/core/src/index.ts': `import { StorageError } from './backend/error.ts'`,
  'packages/core/src/index.test.ts': `import { test } from 'vitest'\nimport { x } from '@stored/core'`,
  'packages/testing/package.json': { ...exporting('@stored/testing', { '@stored/lmdb': '*' }), private: true },
  'packages/testing/src/index.ts': `import { open } from '@stored/lmdb'`,
  'packages/ledger/package.json': exporting('@stored/ledger', { '@stored/core': '*' }),
  'packages/ledger/src/index.ts': `import type { Ledger } from '@stored/core'`,
  'packages/lmdb/package.json': exporting('@stored/lmdb', { '@stored/core': '*', '@stored/ledger': '*', lmdb: '*' }),
  'packages/lmdb/src/index.ts': `import { open } from 'lmdb'\nimport type { Ledger } from '@stored/core'\nimport '@stored/ledger'`,
  'packages/lmdb/src/index.test.ts': `import { open } from '@stored/testing'`,
  'packages/index/package.json': exporting('@stored/index', { '@stored/ledger': '*' }),
  'packages/index/src/index.ts': `export * from '@stored/ledger'`,
  'packages/conformance/package.json': exporting('@stored/conformance', { '@stored/core': '*' }),
  'packages/conformance/src/index.ts': `import { StorageError } from '@stored/core/backend'`,
  'drivers/fs/package.json': exporting('@stored/driver-fs', { '@stored/core': '*' }, { '@stored/conformance': '*' }),
  'drivers/fs/src/index.ts': `import { StorageError } from '@stored/core/backend'`,
  'drivers/fs/test/conformance.test.ts': `import { cases } from '@stored/conformance'\nimport '@stored/testing'`,
}

async function violations(changes: Tree): Promise<string[]> {
  const root = await testDirectory()
  for (const [file, content] of Object.entries({ ...sound, ...changes })) {
    mkdirSync(dirname(join(root, file)), { recursive: true })
    writeFileSync(join(root, file), typeof content === 'string' ? content : JSON.stringify(content, null, 2))
  }
  return findViolations(root).map(({ file, line, message }) => `${file}:${line}: ${message}`)
}

test('a sound repository has no violation', async () => {
  expect(await violations({})).toEqual([])
})

const unsound: [string, Tree, string[]][] = [
  [
    'a service that imports another',
    {
      'packages/index/src/index.ts': `\nimport '@stored/ledger'\nexport type { Queue } from '@stored/syncd'`,
      'packages/index/package.json': exporting('@stored/index', { '@stored/ledger': '*', '@stored/syncd': '*' }),
      'packages/syncd/package.json': exporting('@stored/syncd'),
    },
    ['packages/index/src/index.ts:3: @stored/index may not import @stored/syncd'],
  ],
  [
    'a room that imports one above it',
    { 'packages/core/src/model/copy.ts': `import '../backend/error.ts'\nimport type { Put } from '../stored/put.ts'` },
    ['packages/core/src/model/copy.ts:2: packages/core/src/model may not import packages/core/src/stored/put.ts'],
  ],
  [
    'a service whose test imports another',
    {
      'packages/lmdb/src/index.test.ts': `await import('@stored/index')`,
      'packages/lmdb/package.json': exporting(
        '@stored/lmdb',
        { '@stored/core': '*', '@stored/ledger': '*', lmdb: '*' },
        { '@stored/index': '*' },
      ),
    },
    ['packages/lmdb/src/index.test.ts:1: tests of @stored/lmdb may not import @stored/index'],
  ],
  [
    'a driver that imports more than the contract',
    { 'drivers/fs/src/index.ts': `import type { Index } from '@stored/core'` },
    ['drivers/fs/src/index.ts:1: @stored/driver-fs may not import @stored/core'],
  ],
  [
    'a driver whose source imports the conformance kit',
    { 'drivers/fs/src/index.ts': `import '@stored/core/backend'\nimport '@stored/conformance'` },
    [
      'drivers/fs/src/index.ts:2: @stored/driver-fs may not import @stored/conformance',
      "drivers/fs/src/index.ts:2: @stored/conformance is not declared in @stored/driver-fs's package.json",
    ],
  ],
  [
    'a source that imports something for tests',
    { 'packages/index/src/more.ts': `import '@stored/testing'` },
    [
      'packages/index/src/more.ts:1: @stored/index may not import @stored/testing',
      "packages/index/src/more.ts:1: @stored/testing is not declared in @stored/index's package.json",
    ],
  ],
  [
    'a contract that imports code built on it',
    { 'packages/core/src/backend/error.ts': `import type { Index } from '../ports.ts'` },
    ['packages/core/src/backend/error.ts:1: @stored/core/backend imports nothing else of @stored/core'],
  ],
  [
    'an entry of the contract that exports code built on it',
    { 'packages/core/src/backend.ts': `export * from './ports.ts'` },
    ['packages/core/src/backend.ts:1: @stored/core/backend imports nothing else of @stored/core'],
  ],
  [
    'a core that imports a third-party package',
    {
      'packages/core/src/index.ts': `import mime from 'mime'`,
      'packages/core/package.json': { ...core, dependencies: { mime: '*' } },
    },
    ['packages/core/src/index.ts:1: @stored/core imports no third-party package'],
  ],
  [
    'lmdb imported by another package',
    {
      'packages/index/src/index.ts': `import '@stored/ledger'\nimport { open } from 'lmdb'`,
      'packages/index/package.json': exporting('@stored/index', { '@stored/ledger': '*', lmdb: '*' }),
    },
    ['packages/index/src/index.ts:2: only @stored/lmdb imports lmdb'],
  ],
  [
    'an import of another package by path',
    { 'packages/index/src/more.ts': `import { open } from '../../lmdb/src/index.ts'` },
    ['packages/index/src/more.ts:1: ../../lmdb/src/index.ts reaches into another package: import it by its name'],
  ],
  [
    'files of a package that import each other',
    {
      'packages/index/src/index.ts': `export * from '@stored/ledger'\nimport './more.ts'`,
      'packages/index/src/more.ts': `import type { Store } from './index.ts'`,
    },
    [
      'packages/index/src/more.ts:1: a circle of imports: packages/index/src/index.ts → packages/index/src/more.ts → packages/index/src/index.ts',
    ],
  ],
  [
    'an import of a file that is not an entry',
    { 'packages/index/src/more.ts': `import { open } from '@stored/ledger/src/open.ts'` },
    ['packages/index/src/more.ts:1: @stored/ledger/src/open.ts is not an entry of @stored/ledger'],
  ],
  [
    'a source that imports its own package by name',
    { 'packages/lmdb/src/more.ts': `import '@stored/lmdb'` },
    ['packages/lmdb/src/more.ts:1: a package imports its own files by path'],
  ],
  [
    'a package without arrows',
    {
      'packages/new/package.json': exporting('@stored/new', { '@stored/core': '*' }),
      'packages/new/src/index.ts': `import '@stored/core'`,
    },
    ['packages/new/src/index.ts:1: @stored/new has no arrows: add it to tooling/checks/arrows.ts'],
  ],
  [
    'an import that is not declared',
    { 'packages/index/src/more.ts': `import mime from 'mime/lite'` },
    ["packages/index/src/more.ts:1: mime is not declared in @stored/index's package.json"],
  ],
  [
    'a source that imports what only the repository declares',
    { 'packages/index/src/more.ts': `import { test } from 'vitest'` },
    ["packages/index/src/more.ts:1: vitest is not declared in @stored/index's package.json"],
  ],
  [
    'a tool that imports what the repository does not declare',
    { 'tooling/check.ts': `import 'publint'` },
    ["tooling/check.ts:1: publint is not declared in monorepo's package.json"],
  ],
  [
    'a proof that imports what it does not declare',
    {
      'tooling/proofs/kill/package.json': { name: '@stored/kill', private: true },
      'tooling/proofs/kill/run.ts': `import '@stored/driver-fs'`,
    },
    ["tooling/proofs/kill/run.ts:1: @stored/driver-fs is not declared in @stored/kill's package.json"],
  ],
  [
    'a declared dependency that nothing imports',
    { 'packages/index/package.json': exporting('@stored/index', { '@stored/ledger': '*', mime: '*' }) },
    ['packages/index/package.json:8: mime is declared but not imported'],
  ],
  [
    'a dependency that only tests import',
    {
      'packages/index/package.json': exporting('@stored/index', { '@stored/ledger': '*', mime: '*' }),
      'packages/index/test/x.test.ts': `import 'mime'`,
    },
    ['packages/index/package.json:8: mime is declared but only tests import it'],
  ],
  [
    'a declared devDependency that nothing imports',
    { 'packages/index/package.json': exporting('@stored/index', { '@stored/ledger': '*' }, { mime: '*' }) },
    ['packages/index/package.json:10: mime is declared but not imported'],
  ],
]

test.each(unsound)('%s is a violation', async (_title, changes, expected) => {
  expect(await violations(changes)).toEqual(expected)
})

test('words in comments and strings are not imports', async () => {
  expect(await violations({ 'packages/index/src/more.ts': `// import 'mime'\nconst text = "import 'mime'"` })).toEqual(
    [],
  )
})
