import { chmod, chown, readdir } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { fill, type Place, place } from './place.ts'
import { type Ran, recordsOf } from './run.ts'
import { mayRun, NOBODY, WHY_NOBODY } from './users.ts'

/** Hands everything here to the user that the command runs as. */
async function handOver(at: Place): Promise<void> {
  if (NOBODY === undefined) return
  for (const name of ['.', ...(await readdir(at.path, { recursive: true }))])
    await chown(path.join(at.path, name), NOBODY, NOBODY)
}

async function json(at: Place, ...args: string[]): Promise<Pick<Ran, 'code'> & { records: unknown[] }> {
  const { code, stdout } = await at.run([...args, '--json'], { uid: NOBODY })
  return { code, records: recordsOf({ stdout }) }
}

describe.skipIf(!mayRun || process.platform === 'win32')(`where permissions are missing: 6${WHY_NOBODY}`, () => {
  it('put of a file that may not be read', async () => {
    await using at = await place()
    await chmod(await at.file('secret', 'x'), 0)
    await handOver(at)
    expect(await json(at, 'put', 'secret')).toMatchObject({
      code: 6,
      records: [{ type: 'error', code: 'PERMISSION_DENIED', subject: 'secret' }, { exit: 6 }],
    })
  })

  it('get into a directory that may not be written', async () => {
    await using at = await place()
    await fill(at, { x: 'x' })
    await at.file('closed/y', 'y')
    await handOver(at)
    await chmod(path.join(at.path, 'closed'), 0o500)
    expect(await json(at, 'get', 'x', '-o', 'closed/x')).toMatchObject({ code: 6 })
    expect(await readdir(path.join(at.path, 'closed'))).toEqual(['y'])
  })

  it('put to a backend that may not be written, whose job stays', async () => {
    await using at = await place()
    await fill(at, { x: 'x' })
    await at.file('y', 'y')
    await handOver(at)
    await chmod(path.join(at.path, 'b'), 0o500)
    expect(await json(at, 'put', 'y')).toMatchObject({
      code: 6,
      records: [{ type: 'put' }, { type: 'error', code: 'PERMISSION_DENIED', subject: 'b' }, { exit: 6 }],
    })
    expect(await json(at, 'queue', 'ls')).toMatchObject({ code: 0, records: [{ backend: 'b', key: 'y' }, { jobs: 1 }] })
  })

  it('any command, with a configuration that may not be read', async () => {
    await using at = await place()
    await handOver(at)
    await chmod(path.join(at.path, 'stored.config.json'), 0)
    for (const named of [[], ['--config', 'stored.config.json']])
      expect(await json(at, ...named, 'status')).toMatchObject({
        code: 6,
        records: [
          { type: 'error', code: 'PERMISSION_DENIED', message: expect.stringContaining('EACCES') },
          { exit: 6 },
        ],
      })
  })

  it('any command, with the file of a secret that may not be read', async () => {
    await using at = await place()
    const backends = { a: { driver: 'fs', root: { file: 'root.txt' } } }
    await at.file('stored.config.json', JSON.stringify({ path: '.stored', backends }))
    await chmod(await at.file('root.txt', 'a'), 0)
    await handOver(at)
    expect(await json(at, 'status')).toMatchObject({ code: 6 })
  })

  it('init in a directory that may not be written, and backend add to a configuration in one', async () => {
    await using at = await place()
    await at.file('empty/x', 'x')
    await handOver(at)
    await chmod(path.join(at.path, 'empty'), 0o500)
    await chmod(at.path, 0o500)
    expect(await json(at, 'init', 'empty', '--yes')).toMatchObject({ code: 6 })
    expect(await json(at, 'backend', 'add', 'c', 'fs', 'root=./c')).toMatchObject({ code: 6 })
  })
})
