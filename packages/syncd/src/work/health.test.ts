import { StorageError } from '@stored/core/backend'
import { encodeRow, MemoryLedger, writerOf } from '@stored/ledger'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type Health, HealthRecorder, readHealth } from './health.ts'

const FAILING: Health = { state: 'failing', error: { code: 'UNAVAILABLE', message: 'away' }, asOf: 1 }

let ledger: MemoryLedger
let now: Health | null
let looks: number
let backends: string[]
let told: number
let errors: unknown[]
let guard: () => void
let recorder: HealthRecorder

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  ledger = new MemoryLedger()
  now = null
  looks = 0
  backends = []
  told = 0
  errors = []
  guard = () => {}
  recorder = made()
  await lead('first')
})

afterEach(() => {
  vi.useRealTimers()
})

function made(): HealthRecorder {
  return new HealthRecorder({
    ledger,
    fence: () => guard,
    look: async () => {
      looks++
      return now
    },
    backends: () => backends,
    onTold: () => void told++,
    onError: (error) => void errors.push(error),
  })
}

/** What all processes read. */
function read(backend: string): Promise<ReturnType<typeof readHealth>> {
  return ledger.look((view) => readHealth(view, backend))
}

/** Names another leader. */
async function lead(socket: string): Promise<void> {
  await ledger.transact((tx) => writerOf(tx).put('meta', Buffer.from('syncer'), encodeRow({ socket }, tx.ticket)))
}

describe('HealthRecorder', () => {
  test('records how a backend fails, and that it has recovered', async () => {
    now = FAILING
    recorder.note('a', false)
    await vi.advanceTimersByTimeAsync(0)
    expect(await read('a')).toEqual({ health: FAILING, isHistory: false, isLeft: false })
    expect(await read('b')).toEqual({ health: null, isHistory: false, isLeft: false })
    now = null
    recorder.note('a', true)
    await vi.advanceTimersByTimeAsync(1000)
    expect((await read('a')).health).toBeNull()
    expect(errors).toEqual([])
  })

  test('writes one row a second, including the last one when it stops', async () => {
    now = FAILING
    for (let i = 0; i < 5; i++) recorder.note('a', false)
    await vi.advanceTimersByTimeAsync(999)
    expect(looks).toBe(1)
    await vi.advanceTimersByTimeAsync(1)
    expect(looks).toBe(2)
    now = { ...FAILING, asOf: 2 }
    recorder.note('a', false)
    await recorder.stop()
    expect([looks, (await read('a')).health]).toEqual([3, now])
  })

  test('begins no row of a backend before the last one is committed, however long that takes', async () => {
    const commit = Promise.withResolvers<void>()
    let commits = 0
    vi.spyOn(ledger, 'transact').mockImplementation(async () => {
      commits++
      await commit.promise
      return { value: undefined as never, position: '0' as never, seq: 0, events: [] }
    })
    now = FAILING
    for (let i = 0; i < 5; i++) {
      recorder.note('a', false)
      await vi.advanceTimersByTimeAsync(1000)
    }
    expect(commits).toBe(1)
    commit.resolve()
    await recorder.stop()
    expect(commits).toBe(2)
  })

  test('writes rows that failed once that is possible, and reports each try, with growing waits', async () => {
    guard = () => {
      throw new StorageError('UNAVAILABLE', { op: 'commit' })
    }
    now = FAILING
    for (let i = 0; i < 130; i++) {
      recorder.note('a', i % 2 === 0)
      await vi.advanceTimersByTimeAsync(100)
    }
    // At once, after 2 s, 4 s and 8 s.
    expect(errors).toHaveLength(3)
    guard = () => {}
    await vi.advanceTimersByTimeAsync(1000)
    expect(await read('a')).toMatchObject({ health: FAILING })
  })

  test('checks a healthy backend once, and sets no timer for it later', async () => {
    for (let i = 0; i < 3; i++) {
      recorder.note('a', true)
      await vi.advanceTimersByTimeAsync(5000)
    }
    expect([looks, vi.getTimerCount()]).toEqual([1, 0])
  })

  test('removes what a former leader wrote, which is history until then', async () => {
    now = FAILING
    recorder.note('a', false)
    await recorder.stop()
    await lead('second')
    expect(await read('a')).toEqual({ health: FAILING, isHistory: true, isLeft: false })
    now = null
    recorder = made()
    recorder.note('a', true)
    await recorder.stop()
    expect((await read('a')).health).toBeNull()
  })

  test('ignores a commit refused because another process leads; reports any other failure', async () => {
    guard = () => {
      throw new StorageError('CONFLICT', { op: 'commit' })
    }
    recorder.note('a', true)
    await recorder.stop()
    expect(errors).toEqual([])
    guard = () => {
      throw new StorageError('UNAVAILABLE', { op: 'commit' })
    }
    recorder = made()
    recorder.note('a', true)
    await recorder.stop()
    expect(errors).toMatchObject([{ code: 'UNAVAILABLE' }])
  })
  test('tells which backends are synced: of another, the leader knows nothing', async () => {
    recorder.noteSynced()
    // A store that opens adds one after the other, and all are reported at once.
    backends = ['a']
    await recorder.stop()
    expect([await read('a'), await read('b')]).toMatchObject([{ isLeft: false }, { isLeft: true }])
    expect(told).toBe(1)
    await lead('second')
    expect(await read('b')).toMatchObject({ isLeft: false })
  })
})
