import { once } from 'node:events'
import { readFile, rm, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { emptyPlace, fill, place } from './place.ts'

const LARGE = 'large '.repeat(20_000)
const FORMER = new URL('../../node/test/format-2/last.json.gz', import.meta.url)

describe.concurrent('upgrade', () => {
  async function former() {
    const at = await emptyPlace()
    const backends = {
      a: { driver: 'fs', root: 'a' },
      b: { driver: 'fs', root: 'b', layout: 'id' },
      c: { driver: 'fs', root: 'c' },
    }
    await at.file('stored.config.json', JSON.stringify({ path: '.stored', backends }))
    const { files } = JSON.parse(gunzipSync(await readFile(FORMER)).toString()) as { files: Record<string, string> }
    for (const [name, bytes] of Object.entries(files)) await at.file(`.stored/${name}`, Buffer.from(bytes, 'base64'))
    return at
  }

  it('a store of format 2: every command refuses it and names stored upgrade', async () => {
    await using at = await former()
    const { code, stderr } = await at.stored('ls')
    expect([code, stderr]).toEqual([1, expect.stringContaining('stored upgrade')])
  })

  it('-n says what it would do and does nothing; then it upgrades, keeps the former index, and --prune removes it', async () => {
    await using at = await former()
    const kept = path.join(at.path, '.stored/index.v2.bak')
    expect((await at.json('upgrade', '-n')).records).toMatchObject([
      { type: 'plan', action: 'upgrade', from: 2, to: 3 },
      { type: 'summary', exit: 0, from: 2, to: 3 },
    ])
    expect((await at.json('upgrade', '--prune')).code).toBe(1)
    await writeFile(kept, 'of another upgrade')
    expect((await at.stored('upgrade', '-n')).code).toBe(7)
    await rm(kept)
    expect((await at.json('upgrade')).records).toMatchObject([{ type: 'summary', exit: 0, from: 2, to: 3, kept }])
    expect((await stat(kept)).size).toBeGreaterThan(0)
    expect((await at.stored('cat', 'owed')).stdout).toBe('owed to b')
    expect((await at.json('upgrade')).records).toMatchObject([{ type: 'summary', from: 3, to: 3, kept: null }])
    expect((await at.json('upgrade', '--prune')).records).toMatchObject([{ type: 'summary', pruned: kept }])
    expect((await at.json('upgrade', '--prune')).records).toMatchObject([{ type: 'summary', pruned: null }])
  })

  it('while a process has the store open: 7, and names it', async () => {
    await using at = await place()
    const syncing = at.start('sync')
    const gone = once(syncing, 'close')
    await once(syncing.stderr, 'data')
    for (const command of ['upgrade', 'compact']) {
      const { code, stderr } = await at.stored(command)
      expect([code, stderr]).toEqual([7, expect.stringContaining(`process ${syncing.pid}`)])
    }
    syncing.kill('SIGTERM')
    await gone
    expect(await at.stored('compact')).toMatchObject({ code: 0 })
  })
})

describe.concurrent('backup and restore', () => {
  it('brings back a store with what it owed, also from a process that goes on to put', async () => {
    await using at = await place()
    await fill(at, { 'a.txt': 'alpha' })
    await at.file('large.txt', LARGE)
    await at.stored('put', 'large.txt', '--no-wait')
    for (let i = 0; i < 300; i++) await writeFile(path.join(at.path, `f${i}`), `file ${i}`)
    const names = Array.from({ length: 300 }, (_, i) => `f${i}`)
    const [put, backup] = await Promise.all([
      at.stored('put', ...names, '--no-wait'),
      at.json('backup', 'kept', '--staged'),
    ])
    expect([put.code, backup.records]).toEqual([0, [expect.objectContaining({ type: 'summary', exit: 0, files: 1 })]])
    expect(await at.stored('backup', 'kept', '--staged')).toMatchObject({ code: 7 })
    await rm(path.join(at.path, '.stored'), { recursive: true })
    expect((await at.json('restore', 'kept')).records).toMatchObject([
      { type: 'summary', exit: 0, files: 1, lacking: 0 },
    ])
    expect(await at.stored('sync', '--until-idle')).toMatchObject({ code: 0 })
    expect((await at.stored('cat', 'large.txt')).stdout).toBe(LARGE)
    expect(await at.stored('verify')).toMatchObject({ code: 0 })
    expect(await at.stored('restore', 'kept')).toMatchObject({ code: 7 })
  })

  it('without staged files: 3 and names what nobody has, and doctor reports it: 8', async () => {
    await using at = await place()
    await at.file('large.txt', LARGE)
    await at.stored('put', 'large.txt', '--no-wait')
    expect(await at.stored('backup', 'index.backup')).toMatchObject({ code: 0 })
    await rm(path.join(at.path, '.stored'), { recursive: true })
    const { code, records } = await at.json('restore', 'index.backup')
    expect([code, records]).toMatchObject([3, [{ type: 'missing' }, { type: 'summary', lacking: 1, missing: 1 }]])
    expect(await at.stored('doctor')).toMatchObject({ code: 8, stdout: expect.stringContaining('missing') })
    await at.stored('put', 'large.txt')
    expect(await at.stored('doctor')).toMatchObject({ code: 0 })
  })
})
