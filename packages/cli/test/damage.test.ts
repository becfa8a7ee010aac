import { rm } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { fill, type Place, place } from './place.ts'

/** Two files of `b` are missing and one was changed by someone else; `verify` has found them. */
async function damaged(): Promise<Place> {
  const at = await place()
  await fill(at, { 'p/x': 'x', 'p/y': 'y', z: 'z', whole: 'whole' })
  await rm(path.join(at.path, 'b/p/x'))
  await rm(path.join(at.path, 'b/p/y'))
  await at.file('b/z', 'not z')
  expect(await at.stored('verify')).toMatchObject({ code: 8 })
  return at
}

describe.concurrent('known damage', () => {
  it('is shown by status with the command that repairs it, and disappears once repaired', async () => {
    await using at = await damaged()
    const { code, stdout } = await at.stored('status')
    expect(code).toBe(0)
    expect(stdout).toMatch(/^b: 2 copies missing; stored repair /m)
    expect(stdout).toMatch(/^b: 1 copy changed by someone else.*; stored repair /m)
    const { records } = await at.json('status')
    expect(records).toMatchObject([
      { type: 'status' },
      { type: 'backend', name: 'a', bad: {} },
      { type: 'backend', name: 'b', bad: { missing: 2, unknown: 1 } },
      { type: 'summary', bad: 3 },
    ])
    expect(await at.stored('repair')).toMatchObject({ code: 0 })
    expect((await at.stored('status')).stdout).not.toMatch(/^b: /m)
    expect(await at.stored('doctor')).toMatchObject({ code: 0 })
  })

  it('is shown by doctor, which exits with 8', async () => {
    await using at = await damaged()
    const { code, stdout } = await at.stored('doctor')
    expect(code).toBe(8)
    expect(stdout).toMatch(/^failed +copies on b: 2 copies missing; /m)
    expect(stdout).toMatch(/^failed +copies on b: 1 copy changed by someone else/m)
    expect(stdout).toMatch(/^warning +too few copies: 3 of 4 keys checked; stored copies /m)
  })

  it('copies lists blobs that have no copy left: 9, and what --fix cannot make', async () => {
    await using at = await place()
    await fill(at, { x: 'x' })
    for (const backend of ['a', 'b']) await rm(path.join(at.path, backend, 'x'))
    expect(await at.stored('verify')).toMatchObject({ code: 8 })
    expect(await at.stored('copies')).toMatchObject({ code: 9, stdout: expect.stringMatching(/^0 of 2 .* x\n$/) })
    expect((await at.json('copies', '--fix')).records.at(-1)).toMatchObject({ fixed: 0, failed: 1, left: 1 })
  })
})

describe.concurrent('a copy that was given up', () => {
  it('is shown by status, and by doctor, which exits with 9; copies --fix cannot make it: 9', async () => {
    await using at = await place()
    await at.file('b/x', 'a stranger')
    await at.file('x', 'ours')
    expect(await at.stored('put', 'x')).toMatchObject({ code: 3 })
    expect((await at.stored('status')).stdout).toMatch(/^b: 1 copy in conflict .*; stored queue ls b --state parked /m)
    const { code, stdout } = await at.stored('doctor')
    expect(code).toBe(9)
    expect(stdout).toMatch(/^warning +copies on b: 1 copy in conflict/m)
    expect(await at.stored('copies', '--fix')).toMatchObject({ code: 9 })
  })
})

describe.concurrent('a prefix that matches nothing', () => {
  it('verify of a misspelt prefix: 4; of only pending copies, or none in the sample: 0', async () => {
    await using at = await place()
    await fill(at, { 'p/x': 'x' })
    const { code, stderr } = await at.stored('verify', 'TYPO/')
    expect({ code, stderr }).toEqual({ code: 4, stderr: expect.stringContaining('TYPO/') })
    expect((await at.json('verify', 'TYPO/')).records).toMatchObject([
      { type: 'error', code: 'NOT_FOUND' },
      { exit: 4 },
    ])
    expect(await at.stored('verify', 'TYPO/', '--sample', '5%')).toMatchObject({ code: 4 })
    expect(await at.stored('verify', 'p/', '--sample', '0.0001%')).toMatchObject({ code: 0 })
    await at.open(async (store) => {
      await store.pause('b')
      await store.put(Buffer.from('y'), { key: 'q/y', backends: ['b'] })
    })
    expect(await at.stored('verify', 'q/')).toMatchObject({ code: 0 })
    expect(await at.stored('verify')).toMatchObject({ code: 0 })
  })

  it('rm -r of a misspelt folder: 4, and nothing is removed', async () => {
    await using at = await place()
    await fill(at, { 'p/x': 'x', TYPO: 'a file' })
    expect(await at.stored('rm', '-r', 'TYPO/')).toMatchObject({ code: 4, stderr: expect.stringContaining('TYPO/') })
    expect(await at.stored('rm', '-r', 'p', 'gone')).toMatchObject({ code: 3 })
    expect((await at.stored('ls')).stdout).toBe('TYPO\n')
  })
})
