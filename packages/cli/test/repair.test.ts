import { readdir, readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { fill, place } from './place.ts'

describe.concurrent('repair', () => {
  it('repairs what verify found, and says where a changed file is kept', async () => {
    await using at = await place()
    await fill(at, { x: 'x', y: 'y', z: 'z' })
    await at.file('b/x', 'changed')
    await rm(path.join(at.path, 'b/y'))
    expect(await at.stored('verify')).toMatchObject({ code: 8 })
    const { code, stdout } = await at.stored('repair')
    expect(code).toBe(0)
    expect(stdout).toMatch(
      /^replaced {2}b {2}x, and the changed file is kept as x\.stored-kept-\S+\nreplaced {2}b {2}y\n$/,
    )
    expect(await readFile(path.join(at.path, 'b/x'), 'utf8')).toBe('x')
    expect(await readFile(path.join(at.path, 'b/y'), 'utf8')).toBe('y')
    expect(await at.stored('verify')).toMatchObject({ code: 0 })
    expect((await at.json('repair')).records).toMatchObject([{ type: 'summary', repaired: 0, exit: 0 }])
  })

  it('-n changes nothing; --json; an unknown key: 4; without a good copy: 8', async () => {
    await using at = await place()
    await fill(at, { x: 'x' })
    await at.file('b/x', 'changed')
    await at.stored('verify')
    expect((await at.json('repair', '-n')).records).toMatchObject([
      { type: 'plan', action: 'repair', name: 'x', backend: 'b', key: 'x', state: 'unknown' },
      { type: 'summary', dryRun: true, repaired: 1 },
    ])
    expect(await readdir(path.join(at.path, 'b'))).toEqual(['.stored', 'x'])
    expect(await at.stored('repair', 'gone')).toMatchObject({ code: 4 })
    expect((await at.json('repair', 'x')).records).toMatchObject([
      { type: 'repair', name: 'x', copies: [{ backend: 'b', key: 'x', was: 'unknown', outcome: 'owed' }] },
      { type: 'summary', repaired: 1 },
    ])
    await fill(at, { y: 'y' })
    for (const file of ['a/y', 'b/y']) await at.file(file, 'changed')
    await at.stored('verify')
    const { code, stderr } = await at.stored('repair', 'y')
    expect([5, 8]).toContain(code)
    expect(stderr).toContain('y')
    expect(await readFile(path.join(at.path, 'a/y'), 'utf8')).toBe('changed')
  })
})

describe.concurrent('forget', () => {
  it('ends a parked removal, and leaves the file', async () => {
    await using at = await place()
    await fill(at, { x: 'x' })
    await at.file('b/x', 'changed')
    expect(await at.stored('rm', 'x')).toMatchObject({ code: 3 })
    expect((await at.json('forget', 'x', '--backend', 'b', '-n')).records[0]).toMatchObject({
      type: 'plan',
      action: 'forget',
    })
    expect((await at.json('forget', 'x', '--backend', 'b')).records).toMatchObject([
      { type: 'forget', backend: 'b', key: 'x', was: 'deleting' },
      { type: 'summary', forgotten: 1, exit: 0 },
    ])
    expect((await at.stored('queue', 'ls')).stdout).toBe('')
    expect(await readFile(path.join(at.path, 'b/x'), 'utf8')).toBe('changed')
  })

  it('-n refuses what the real run would refuse, and changes nothing: the last copy: 7; nothing: 4', async () => {
    await using at = await place()
    await fill(at, { x: 'x' })
    const dry = (...args: string[]) => at.stored('forget', ...args, '-n')
    expect(await dry('x', '--backend', 'b')).toMatchObject({ code: 0, stdout: 'would forget x on b\n' })
    expect(await dry('none', '--backend', 'b')).toMatchObject({ code: 4, stdout: '' })
    await at.stored('forget', 'x', '--backend', 'b')
    expect(await dry('x', '--backend', 'a')).toMatchObject({ code: 7, stdout: '' })
    expect(await dry('x', '--backend', 'b')).toMatchObject({ code: 4, stdout: '' })
    expect((await at.json('whereis', 'x')).records[0]).toMatchObject({ copies: { a: 'synced' } })
  })

  it('of a copy leaves its file; of the last one: 7; of nothing: 4; without --backend: 2', async () => {
    await using at = await place()
    await fill(at, { x: 'x' })
    expect(await at.stored('forget', 'x', '--backend', 'b')).toMatchObject({
      code: 0,
      stdout: 'forgot x on b; what lies there stays\n',
    })
    expect(await at.stored('forget', 'x', '--backend', 'a')).toMatchObject({ code: 7 })
    expect(await at.stored('forget', 'x', '--backend', 'b')).toMatchObject({ code: 4 })
    expect(await at.stored('forget', 'x')).toMatchObject({ code: 2 })
    expect(await readFile(path.join(at.path, 'b/x'), 'utf8')).toBe('x')
  })
})

describe.concurrent('queue cancel', () => {
  it('of a parked removal leaves the object there', async () => {
    await using at = await place()
    await fill(at, { x: 'x' })
    await at.file('b/x', 'changed')
    await at.stored('rm', 'x')
    expect((await at.json('queue', 'cancel', 'b')).records).toMatchObject([
      { type: 'forget', backend: 'b', key: 'x', was: 'deleting' },
      { type: 'summary', cancelled: 1, exit: 0 },
    ])
    expect(await readFile(path.join(at.path, 'b/x'), 'utf8')).toBe('changed')
  })
})
