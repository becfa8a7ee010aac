import { spawnSync } from 'node:child_process'
import { chmod, chown, readdir } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { fill, type Place, place } from './place.ts'
import { type Ran, recordsOf } from './run.ts'

/** Nobody: root may do everything. */
const UID = process.getuid?.() === 0 ? 65_534 : undefined
const SOURCE = fileURLToPath(new URL('../src/bin.ts', import.meta.url))

const may = spawnSync(process.execPath, ['--check', SOURCE], { ...(UID !== undefined && { uid: UID }) }).status === 0
const WHY = may ? '' : ' (skipped: another user may not read this directory)'

/** Hands everything here to whoever the command runs as. */
async function handOver(at: Place): Promise<void> {
  if (UID === undefined) return
  for (const name of ['.', ...(await readdir(at.path, { recursive: true }))])
    await chown(path.join(at.path, name), UID, UID)
}

async function json(at: Place, ...args: string[]): Promise<Pick<Ran, 'code'> & { records: unknown[] }> {
  const { code, stdout } = await at.run([...args, '--json'], { uid: UID })
  return { code, records: recordsOf({ stdout }) }
}

describe.skipIf(!may || process.platform === 'win32')(`where rights are missing: 6${WHY}`, () => {
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
})
