import { existsSync, statfsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { LmdbLedger } from './lmdb-ledger.ts'
import { DiskReserve } from './reserve.ts'

vi.mock('node:fs', { spy: true })
afterEach(() => {
  vi.restoreAllMocks()
})

/** A disk with so many bytes left. */
function leave(bytes: number): void {
  const disk = statfsSync(tmpdir())
  vi.mocked(statfsSync).mockReturnValue({ ...disk, bsize: 1, bavail: bytes })
}

const NO_SPACE = expect.objectContaining({ code: 'NO_SPACE' })

describe('DiskReserve', () => {
  test('require() of little on a disk that is not full passes', () => {
    expect(() => new DiskReserve(tmpdir(), 0).require(1)).not.toThrow()
  })

  test('require() of more than the disk has is NO_SPACE', () => {
    expect(() => new DiskReserve(tmpdir(), 0).require(2 ** 52)).toThrow(NO_SPACE)
  })

  test('with a reserve larger than the disk refuses everything', () => {
    expect(() => new DiskReserve(tmpdir(), 2 ** 52).require(0)).toThrow(NO_SPACE)
  })

  test('require() after a refusal passes as soon as there is space', () => {
    const reserve = new DiskReserve(tmpdir(), 0)
    expect(() => reserve.require(2 ** 52)).toThrow(NO_SPACE)
    expect(() => reserve.require(0)).not.toThrow()
  })

  test('requireHeadroom() passes with 1 MiB left, below the reserve too; with less it is NO_SPACE', () => {
    const disk = new DiskReserve(tmpdir(), 2 ** 52)
    leave(2 ** 20)
    expect(() => disk.requireHeadroom()).not.toThrow()
    leave(2 ** 20 - 1)
    expect(() => disk.requireHeadroom()).toThrow(NO_SPACE)
  })
})

test('disk() tells what is free, what puts leave, and what the ballast lacks', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'stored-reserve-'))
  leave(2 ** 21)
  const ledger = await LmdbLedger.open({ path: directory, reserve: 2 ** 52 })
  const disk = ledger.disk()
  expect(disk).toMatchObject({ free: 2 ** 21, reserve: 2 ** 52 })
  expect(disk.missingBallast).toBeGreaterThan(0)
  await ledger.close()
  await rm(directory, { recursive: true })
})

test('LmdbLedger.open() on a full disk rejects NO_SPACE before LMDB makes its file', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'stored-reserve-'))
  leave(0)
  await expect(LmdbLedger.open({ path: directory, reserve: 0 })).rejects.toEqual(NO_SPACE)
  expect(existsSync(path.join(directory, 'index.mdb'))).toBe(false)
  await rm(directory, { recursive: true })
})
