import { StorageError } from '@stored/core/backend'
import { describe, expect, it } from 'vitest'
import type { Connection } from './connection.ts'
import { Pool } from './pool.ts'

const lost = new StorageError('UNAVAILABLE', { op: 'test' })

/** Counts its connections, which can be lost. */
function makePool(most: number) {
  const dialed: { users: number; isLost: boolean; isRetired: boolean; close(): void; retire(): void }[] = []
  const failures: Error[] = []
  const dial = async () => {
    const failure = failures.shift()
    if (failure !== undefined) throw failure
    const connection = {
      users: 0,
      isLost: false,
      isRetired: false,
      close() {
        connection.isLost = true
      },
      retire() {
        connection.isRetired = true
      },
    }
    dialed.push(connection)
    return connection as unknown as Connection
  }
  return { pool: new Pool(dial, most), dialed, failures }
}

/** Holds connections until it is released. */
function makeHold() {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { hold: () => promise, release: resolve }
}

describe('use()', () => {
  it('keeps one connection for consecutive calls', async () => {
    const { pool, dialed } = makePool(4)
    for (let i = 0; i < 3; i++) await pool.use(async () => {})
    expect(dialed.length).toBe(1)
  })

  it('spreads concurrent calls over as many connections as allowed', async () => {
    const { pool, dialed } = makePool(3)
    const { hold, release } = makeHold()
    const calls = Array.from({ length: 9 }, () => pool.use(hold))
    await new Promise(setImmediate)
    expect(dialed.map(({ users }) => users)).toEqual([3, 3, 3])
    release()
    await Promise.all(calls)
    expect(dialed.map(({ users }) => users)).toEqual([0, 0, 0])
  })

  it('is done once more over a new connection when a kept one turns out to be lost', async () => {
    const { pool, dialed } = makePool(1)
    await pool.use(async () => {})
    let calls = 0
    const work = async (connection: Connection) => {
      if (++calls > 1) return 'done'
      connection.close()
      throw lost
    }
    expect(await pool.use(work)).toBe('done')
    expect([calls, dialed.length]).toEqual([2, 2])
  })

  it('does not repeat a call that must not be repeated, or one on a new connection', async () => {
    const { pool } = makePool(1)
    const fail = async (connection: Connection) => {
      connection.close()
      throw lost
    }
    await expect(pool.use(fail)).rejects.toBe(lost)
    await pool.use(async () => {})
    await expect(pool.use(fail, () => false)).rejects.toBe(lost)
  })

  it('shares a connection if the server accepts no more', async () => {
    const { pool, dialed, failures } = makePool(4)
    const { hold, release } = makeHold()
    const first = pool.use(hold)
    await new Promise(setImmediate)
    failures.push(lost)
    expect(await pool.use(async () => 'shared')).toBe('shared')
    expect(dialed.length).toBe(1)
    release()
    await first
  })

  it('rejects with the error of dialing, and dials again the next time', async () => {
    const { pool, failures } = makePool(1)
    failures.push(lost)
    await expect(pool.use(async () => {})).rejects.toBe(lost)
    expect(await pool.use(async () => 'fine')).toBe('fine')
  })
})

describe('renew()', () => {
  it('retires every connection, makes later calls dial, and leaves calls in progress theirs', async () => {
    const { pool, dialed } = makePool(2)
    const { hold, release } = makeHold()
    const first = pool.use(hold)
    await new Promise(setImmediate)
    pool.renew()
    await pool.use(async () => {})
    expect(dialed.map(({ isRetired, isLost, users }) => [isRetired, isLost, users])).toEqual([
      [true, false, 1],
      [false, false, 0],
    ])
    release()
    await first
    pool.close()
    expect(dialed.map(({ isLost }) => isLost)).toEqual([true, true])
  })
})

describe('close()', () => {
  it('closes every connection', async () => {
    const { pool, dialed } = makePool(2)
    await pool.use(async () => {})
    pool.close()
    expect(dialed.map(({ isLost }) => isLost)).toEqual([true])
  })
})
