import { readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { OPTIONS as FS } from '../../drivers/fs/src/options.ts'
import { OPTIONS as S3 } from '../../drivers/s3/src/options.ts'
import { OPTIONS as SFTP } from '../../drivers/sftp/src/options.ts'
import { OPTIONS as GUARD } from '../../packages/core/src/guard/guard.ts'
import { OPTIONS as STORED } from '../../packages/core/src/stored/options.ts'
import { OPTIONS as TEMPLATE } from '../../packages/create-stored-driver/src/template/src/acme-backend.ts'
import { LOG_OPTIONS } from '../../packages/ledger/src/event-log.ts'
import { OPTIONS as LMDB } from '../../packages/lmdb/src/lmdb-ledger.ts'
import {
  BACKEND_OPTIONS,
  CACHE_OPTIONS,
  type Options,
  STAGING_OPTIONS,
  STORE_OPTIONS,
} from '../../packages/node/src/configuration/options.ts'
import { configSchema } from '../../packages/node/test/config/json-schema.ts'
import { OPTIONS as READ_CACHE } from '../../packages/read-cache/src/read-cache.ts'
import { OPTIONS as STAGING } from '../../packages/staging/src/staging.ts'
import { OPTIONS as SYNCD } from '../../packages/syncd/src/syncd.ts'
import { type Described, withDocstrings, withOptionTable } from './option-docs.ts'

const at = (file: string) => new URL(`../../${file}`, import.meta.url)
const read = (file: string) => readFile(at(file), 'utf8')
const expectFile = (file: string, text: string) => expect(text).toMatchFileSnapshot(`../../${file}`)

describe('what is told of options is what their table says; `vitest -u` writes it', () => {
  test.each<[file: string, Record<string, Described>]>([
    ['drivers/fs/src/options.ts', { FsBackendOptions: FS }],
    ['drivers/s3/src/options.ts', { S3BackendOptions: S3 }],
    ['drivers/sftp/src/options.ts', { SftpBackendOptions: SFTP }],
    ['packages/create-stored-driver/src/template/src/acme-backend.ts', { AcmeBackendOptions: TEMPLATE }],
    ['packages/ledger/src/event-log.ts', { EventLogOptions: LOG_OPTIONS }],
    ['packages/lmdb/src/lmdb-ledger.ts', { LmdbLedgerOptions: LMDB }],
    ['packages/read-cache/src/read-cache.ts', { DiskReadCacheOptions: READ_CACHE }],
    ['packages/staging/src/staging.ts', { DurableStagingOptions: STAGING }],
    ['packages/syncd/src/syncd.ts', { SyncDOptions: SYNCD }],
    ['packages/core/src/guard/guard.ts', { GuardOptions: GUARD }],
    ['packages/core/src/stored/types.ts', { BackendOptions: described(BACKEND_OPTIONS), StoreDOptions: STORED }],
    [
      'packages/node/src/config.ts',
      {
        StagingConfig: described(STAGING_OPTIONS),
        CacheConfig: described(CACHE_OPTIONS),
        StoreConfig: described(STORE_OPTIONS),
      },
    ],
  ])('docstrings: %s', async (file, tables) => {
    const told = Object.entries(tables).reduce(
      (text, [type, options]) => withDocstrings(text, type, options),
      await read(file),
    )
    await expectFile(file, told)
  })

  test.each([
    ['drivers/fs', FS],
    ['drivers/s3', S3],
    ['drivers/sftp', SFTP],
    ['packages/lmdb', LMDB],
    ['packages/node', { ...described(STORE_OPTIONS), ...described(BACKEND_OPTIONS, 'backends.*.') }],
    ['packages/read-cache', READ_CACHE],
    ['packages/staging', STAGING],
    ['packages/syncd', SYNCD],
  ])('README: %s', async (directory, options) => {
    const file = `${directory}/README.md`
    await expectFile(file, withOptionTable(await read(file), options))
  })

  test('JSON Schema of a configuration', async () => {
    const schema = configSchema({ fs: FS, s3: S3, sftp: SFTP })
    await expectFile('packages/node/stored.schema.json', `${JSON.stringify(schema, undefined, 2)}\n`)
  })
})

/** A configuration's table in the form of a driver's; the options of groups are prefixed with the group's name. */
function described(options: Options, path = ''): Described {
  const entries = Object.entries(options).flatMap(([name, { about, options: inner, ...rest }]) => [
    [`${path}${name}`, { doc: about, ...rest }] as const,
    ...Object.entries(described(inner ?? {}, `${path}${name}.`)),
  ])
  return Object.fromEntries(entries)
}

test('a docstring says what the table says, with its default', () => {
  const source = 'export interface O {\n  /** Old. */\n  readonly a?: number\n  readonly b: string\n}\n'
  expect(withDocstrings(source, 'O', { a: { doc: 'New.', default: 3 }, b: { doc: 'B.' } })).toBe(
    'export interface O {\n  /** New. @default 3 */\n  readonly a?: number\n  /** B. */\n  readonly b: string\n}\n',
  )
})
