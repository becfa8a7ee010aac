import { tmpdir } from 'node:os'
import { describe, expect, test } from 'vitest'
import { DiskReserve } from './reserve.ts'

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
})
