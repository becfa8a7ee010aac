import { readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { OPTIONS as FS } from '../../drivers/fs/src/options.ts'
import { OPTIONS as S3 } from '../../drivers/s3/src/options.ts'
import { OPTIONS as SFTP } from '../../drivers/sftp/src/options.ts'
import { withDocstrings, withOptionTable } from './option-docs.ts'

const read = (file: string) => readFile(new URL(`../../drivers/${file}`, import.meta.url), 'utf8')

describe('what is told of the options of a driver is what its table says; `vitest -u` writes it', () => {
  test.each([
    ['fs', FS, 'FsBackendOptions'],
    ['s3', S3, 'S3BackendOptions'],
    ['sftp', SFTP, 'SftpBackendOptions'],
  ])('%s', async (driver, options, type) => {
    const [readme, source] = [`${driver}/README.md`, `${driver}/src/options.ts`]
    await expect(withOptionTable(await read(readme), options)).toMatchFileSnapshot(`../../drivers/${readme}`)
    await expect(withDocstrings(await read(source), type, options)).toMatchFileSnapshot(`../../drivers/${source}`)
  })
})

test('a docstring says what the table says, with its default', () => {
  const source = 'export interface O {\n  /** Old. */\n  readonly a?: number\n  readonly b: string\n}\n'
  expect(withDocstrings(source, 'O', { a: { doc: 'New.', default: 3 }, b: { doc: 'B.' } })).toBe(
    'export interface O {\n  /**\n   * New.\n   *\n   * @default 3\n   */\n  readonly a?: number\n  /** B. */\n  readonly b: string\n}\n',
  )
})
