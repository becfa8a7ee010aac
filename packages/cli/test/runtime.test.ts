import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises'
import { stripTypeScriptTypes } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { runtimeFault } from '@stored/core/runtime'
import { testDirectory } from '@stored/testing/directory'
import { beforeEach, describe, expect, it } from 'vitest'

/** A Node.js on this machine that StoreD does not support. */
const OLDER = (process.env.PATH ?? '')
  .split(path.delimiter)
  .map((directory) => path.join(directory, 'node'))
  .filter((file) => existsSync(file))
  .find((file) => runtimeFault(spawnSync(file, ['-p', 'process.versions.node']).stdout.toString().trim()) !== null)
const WHY = OLDER === undefined ? ' (skipped: none on PATH)' : ''

let directory: string
beforeEach(async () => {
  directory = await testDirectory()
})

/** Writes a module as JavaScript: an older Node.js cannot strip types. */
async function write(name: string, url: string): Promise<void> {
  const source = await readFile(fileURLToPath(url), 'utf8')
  const text = stripTypeScriptTypes(source).replaceAll("'@stored/core/runtime'", "'./runtime.mjs'")
  await writeFile(path.join(directory, name), text)
}

describe.skipIf(OLDER === undefined)(`on a Node.js that is too old${WHY}`, () => {
  it('stored prints one line with the required version, loads nothing else and does nothing: 1', async () => {
    await write('stored.mjs', import.meta.resolve('../src/bin.ts'))
    await write('runtime.mjs', import.meta.resolve('@stored/core/runtime'))
    const cwd = await mkdtemp(path.join(directory, 'empty-'))
    const args = [path.join(directory, 'stored.mjs'), 'init', '--yes']
    const { status, stdout, stderr } = spawnSync(OLDER as string, args, { cwd, encoding: 'utf8' })
    expect(stderr).toMatch(/^stored: needs Node\.js 22 from 22\.22\.2, .*; this is \d+\.\d+\.\d+ \(.*\)\n$/)
    expect({ status, stdout, made: await readdir(cwd) }).toEqual({ status: 1, stdout: '', made: [] })
  })
})
