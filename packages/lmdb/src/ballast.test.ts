import { existsSync, statfsSync, statSync } from 'node:fs'
import path from 'node:path'
import { testDirectory } from '@stored/testing/directory'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { Ballast } from './ballast.ts'
import { FileTail } from './file-tail.ts'
import { LmdbLedger } from './lmdb-ledger.ts'
import { DiskReserve } from './reserve.ts'

vi.mock('node:fs', { spy: true })

const MIB = 2 ** 20
const LARGE = 2 ** 40

let directory: string
beforeEach(async () => {
  directory = await testDirectory()
})
afterEach(async () => {
  vi.restoreAllMocks()
})

const file = () => path.join(directory, 'ballast')
const always = () => true
/** A disk of 1 TiB with so many bytes left. */
function leave(bytes: number): void {
  vi.mocked(statfsSync).mockReturnValue({ ...statfsSync(directory), bsize: 1, blocks: LARGE, bavail: bytes } as never)
}
const NO_SPACE = (op: string) => expect.objectContaining({ code: 'NO_SPACE', at: { op } })

describe('Ballast', () => {
  test('takes 16 MiB, of a small disk a tenth', () => {
    expect(new Ballast(directory, LARGE).size).toBe(16 * MIB)
    expect(new Ballast(directory, 24 * MIB).size).toBe(Math.floor(2.4 * MIB))
  })

  test('build() writes every block of it; built by two at once it is hardly larger', async () => {
    const [one, two] = [new Ballast(directory, LARGE), new Ballast(directory, LARGE)]
    one.build(always)
    two.build(always)
    await expect.poll(() => one.missing).toBe(0)
    await Promise.all([one.close(), two.close()])
    const { size, blocks } = statSync(file())
    expect(size).toBeLessThanOrEqual(17 * MIB)
    expect(blocks * 512).toBeGreaterThanOrEqual(16 * MIB)
  })

  test('build() stops where the disk has no room for what is missing, and goes on later', async () => {
    const ballast = new Ballast(directory, LARGE)
    const asked: number[] = []
    ballast.build((missing) => asked.push(missing) < 3)
    await expect.poll(() => asked.length).toBe(3)
    await expect.poll(() => ballast.missing).toBe(14 * MIB)
    expect(asked).toEqual([16 * MIB, 15 * MIB, 14 * MIB])
    await new Promise(setImmediate)
    ballast.build(always)
    await expect.poll(() => ballast.missing).toBe(0)
    await ballast.close()
  })

  test('giveBack() frees 4 MiB of it at a time', async () => {
    const ballast = new Ballast(directory, LARGE)
    expect(ballast.giveBack()).toBe(false)
    ballast.build(always)
    await expect.poll(() => ballast.missing).toBe(0)
    await ballast.close()
    for (const left of [12, 8, 4, 0]) {
      expect(ballast.giveBack()).toBe(true)
      expect(statSync(file()).size).toBe(left * MIB)
    }
    expect(statSync(file()).blocks).toBe(0)
    expect(ballast.giveBack()).toBe(false)
  })

  test('close() ends building it', async () => {
    const ballast = new Ballast(directory, LARGE)
    ballast.build(always)
    await ballast.close()
    const { missing } = ballast
    expect(missing).toBeGreaterThan(0)
    await new Promise(setImmediate)
    expect(ballast.missing).toBe(missing)
  })
})

describe('DiskReserve with a ballast', () => {
  const whole = async () => {
    const ballast = new Ballast(directory, LARGE)
    ballast.build(always)
    await expect.poll(() => ballast.missing).toBe(0)
    return ballast
  }

  test('requireHeadroom() gives it back when less than 1 MiB is left, and not before', async () => {
    const ballast = await whole()
    const reserve = new DiskReserve(directory, 2 ** 30, ballast)
    leave(MIB)
    reserve.requireHeadroom()
    expect(ballast.missing).toBe(0)
    leave(MIB - 1)
    expect(() => reserve.requireHeadroom()).toThrow(NO_SPACE('open'))
    expect(ballast.missing).toBe(16 * MIB)
  })

  test('require() leaves the reserve, and room for the ballast while that is not built', async () => {
    const ballast = new Ballast(directory, LARGE)
    const reserve = new DiskReserve(directory, 0, ballast)
    leave(16 * MIB)
    expect(() => reserve.require(1)).toThrow(NO_SPACE('put'))
    leave(18 * MIB)
    reserve.require(MIB)
    await expect.poll(() => ballast.missing).toBe(0)
    await ballast.close()
    leave(2 * MIB)
    const other = new DiskReserve(directory, 0, ballast)
    expect(() => other.require(MIB)).not.toThrow()
  })

  test('replenish() builds nothing below the reserve', async () => {
    const ballast = new Ballast(directory, LARGE)
    const reserve = new DiskReserve(directory, MIB, ballast)
    leave(17 * MIB - 1)
    reserve.replenish()
    await ballast.close()
    expect(existsSync(file())).toBe(false)
  })
})

test('FileTail.provide() on a full disk asks for room once, and goes on when there is some', async () => {
  const ledger = await LmdbLedger.open({ path: directory, reserve: 0 })
  const { writeSync } = await vi.importActual<typeof import('node:fs')>('node:fs')
  let isFull = true
  const asked = vi.fn(() => {
    isFull = false
    return true
  })
  const { mocked } = vi
  const fs = await import('node:fs')
  mocked(fs.writeSync).mockImplementation(((...args: Parameters<typeof writeSync>) => {
    if (isFull) throw Object.assign(new Error('full'), { code: 'ENOSPC' })
    return writeSync(...args)
  }) as never)
  const tail = new FileTail(path.join(directory, 'index.mdb'), asked)
  tail.provide(5 * MIB)
  expect(asked).toHaveBeenCalledOnce()
  isFull = true
  asked.mockImplementation(() => false)
  expect(() => tail.provide(50 * MIB)).toThrow(expect.objectContaining({ code: 'NO_SPACE' }))
  await tail.close()
  await ledger.close()
})

test('an index that is opened has its ballast built; closed at once, it is there later', async () => {
  for (let i = 0; i < 2; i++) await (await LmdbLedger.open({ path: directory })).close()
  const ledger = await LmdbLedger.open({ path: directory, reserve: 0 })
  const ballast = new Ballast(directory, LARGE)
  await expect.poll(() => ballast.missing).toBe(0)
  await ledger.close()
})
