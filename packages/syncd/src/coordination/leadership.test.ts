import { readdirSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createConnection, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Committed, Transaction } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import { encodeRow, MemoryLedger, type TreeLedger, writerOf } from '@stored/ledger'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { Leadership } from './leadership.ts'

/** A busy machine may be slow; what never happens still fails. */
const PATIENCE = { timeout: 60_000 }

const KEY = Buffer.from('syncer')

let directory: string
let ledger: MemoryLedger
let members: Leadership[]
let errors: unknown[]

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'stored-leadership-'))
  ledger = new MemoryLedger()
  members = []
  errors = []
})

afterEach(async () => {
  vi.useRealTimers()
  await Promise.all(members.map((member) => member.close()))
  await rm(directory, { recursive: true })
})

/** Stands for a process that opens the store. */
async function join(o: { lead?: boolean; ledger?: TreeLedger } = {}): Promise<Leadership> {
  const member = await Leadership.open({ ledger, directory, lead: true, onError: (e) => errors.push(e), ...o })
  members.push(member)
  return member
}

/** As another process would write it. */
function name(leader: unknown): Promise<{ readonly seq: number }> {
  return ledger.transact((tx) => nameIn(tx, leader))
}

function nameIn(tx: Transaction, leader: unknown): void {
  writerOf(tx).put('meta', KEY, encodeRow(leader, tx.ticket))
}

function commitAs(member: Leadership): Promise<unknown> {
  return ledger.transact(member.fence())
}

function nextRing(member: Leadership): Promise<void> {
  return new Promise((resolve) => {
    const stop = member.onRing(() => {
      stop()
      resolve()
    })
  })
}

function nextChange(member: Leadership): Promise<boolean> {
  return new Promise((resolve) => {
    const stop = member.onChange((leads) => {
      stop()
      resolve(leads)
    })
  })
}

function sockets(): string[] {
  return readdirSync(directory).filter((file) => file.startsWith('syncer-'))
}

/** A leader that is not a Leadership. */
async function lead(onConnection: (socket: Socket) => void): Promise<Server> {
  const socket = 'syncer-00000000000a.sock'
  const server = createServer(onConnection)
  await new Promise<void>((resolve) => server.listen(path.join(directory, socket), resolve))
  await name({ socket })
  return server
}

describe('Leadership.open()', () => {
  test('of a store nobody has open leads', async () => {
    const first = await join()
    expect(first).toMatchObject({ leads: true, attended: true })
    await expect(commitAs(first)).resolves.toMatchObject({})
    expect(sockets()).toHaveLength(1)
  })

  test('of a store that somebody leads follows', async () => {
    await join()
    const second = await join()
    expect(second).toMatchObject({ leads: false, attended: true })
    await expect(commitAs(second)).rejects.toMatchObject({ code: 'CONFLICT' })
    expect(sockets()).toHaveLength(1)
  })

  test('by many at the same moment makes one the leader, and the others its followers', async () => {
    const all = await Promise.all(Array.from({ length: 10 }, () => join()))
    expect(all.filter(({ leads }) => leads)).toHaveLength(1)
    expect(all.every(({ attended }) => attended)).toBe(true)
    expect(sockets()).toHaveLength(1)
  })

  test('of a store that another one comes to lead just before its own commit follows that one', async () => {
    const outvoted = new MemoryLedger()
    const transact = outvoted.transact.bind(outvoted)
    let other: Leadership | undefined
    outvoted.transact = async (write) => {
      outvoted.transact = transact
      other = await join({ ledger: outvoted })
      return transact(write)
    }
    const { leads, attended } = await join({ ledger: outvoted })
    expect({ leads, attended, otherLeads: other?.leads }).toEqual({ leads: false, attended: true, otherLeads: true })
  })

  test('with lead: false leads nothing, and is attended once somebody leads', async () => {
    const listener = await join({ lead: false })
    expect(listener).toMatchObject({ leads: false, attended: false })
    const leader = await join()
    const heard = nextRing(leader)
    listener.ring()
    await heard
    expect(listener).toMatchObject({ leads: false, attended: true })
  })

  test('with lead: false finds a later leader by itself, and is rung', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const listener = await join({ lead: false })
    await join()
    const heard = nextRing(listener)
    await vi.advanceTimersByTimeAsync(1000)
    await heard
    expect(listener.attended).toBe(true)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('with lead: false counts as rung if somebody led between two looks', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const follower = await join({ lead: false })
    const rung = nextRing(follower)
    // What a process leaves behind that led for less than the interval.
    await name({ socket: 'syncer-00000000000b.sock' })
    await vi.advanceTimersByTimeAsync(1000)
    await rung
    expect(follower.attended).toBe(false)
  })

  test('without a directory leads at once, and opens no socket', async () => {
    const only = await Leadership.open({ ledger, lead: true, onError: (e) => errors.push(e) })
    members.push(only)
    expect(only).toMatchObject({ leads: true, attended: true })
    expect(() => only.ring()).not.toThrow()
    await expect(commitAs(only)).resolves.toMatchObject({})
  })

  test('after a leader whose socket is gone leads', async () => {
    await name({ socket: 'syncer-00000000000b.sock' })
    expect(await join()).toMatchObject({ leads: true })
  })

  test('after a leader whose socket refuses leads, and removes what was left behind', async () => {
    await name({ socket: 'syncer-00000000000b.sock' })
    for (const left of ['syncer-00000000000b.sock', 'syncer-00000000000c.sock', 'others.sock'])
      await writeFile(path.join(directory, left), '')
    const leader = await join()
    expect(leader.leads).toBe(true)
    await leader.close()
    expect(readdirSync(directory)).toEqual(['others.sock'])
  })

  test('after a leader that had no socket leads', async () => {
    await name({ pid: process.pid })
    expect(await join()).toMatchObject({ leads: true })
  })

  test('does not lead if the connection fails without a sign of the leader’s death, and says so', async () => {
    const tooLong = 'x'.repeat(200)
    await name({ socket: tooLong })
    expect(await join()).toMatchObject({ leads: false, attended: false })
    expect(errors).toMatchObject([{ syscall: 'connect' }])
  })

  test('of a store whose row is damaged rejects CORRUPT', async () => {
    await ledger.transact((tx) => writerOf(tx).put('meta', KEY, Buffer.from('x')))
    await expect(join()).rejects.toMatchObject({ code: 'CORRUPT' })
  })
})

describe('ring()', () => {
  test('of a follower is heard by the leader and by all other followers', async () => {
    const leader = await join()
    const first = await join()
    // A new follower is rung once.
    await nextRing(first)
    const second = await join({ lead: false })
    const echoes = vi.fn()
    first.onRing(echoes)
    const heard = [nextRing(leader), nextRing(second)]
    first.ring()
    await Promise.all(heard)
    expect(echoes).not.toHaveBeenCalled()
  })

  test('of the leader is heard by all followers', async () => {
    const [leader, ...followers] = [await join(), await join(), await join({ lead: false })]
    const heard = followers.map(nextRing)
    leader.ring()
    await Promise.all(heard)
  })

  test('many times at once is heard as two: one in flight, and one for all that came in the meantime', async () => {
    const [leader, follower] = [await join(), await join()]
    const rings = vi.fn()
    leader.onRing(rings)
    for (let i = 0; i < 10_000; i++) follower.ring()
    await nextRing(leader)
    await nextRing(leader)
    // An answer made after all that was in flight.
    const answer = nextRing(follower)
    leader.ring()
    await answer
    expect(rings).toHaveBeenCalledTimes(2)
  })

  test('is owed while nobody leads, and reaches the next leader', async () => {
    const [leader, heir, listener] = [await join(), await join(), await join({ lead: false })]
    const heard = nextChange(heir).then(() => nextRing(heir))
    const closed = leader.close()
    listener.ring()
    await Promise.all([closed, heard])
    expect(heir.leads).toBe(true)
  })

  test('counts as rung when a process ends, which may have committed something last', async () => {
    const [leader, follower, other] = [await join(), await join(), await join()]
    const heard = [nextRing(leader), nextRing(other)]
    await follower.close()
    await Promise.all(heard)
  })

  test('calls every listener, also after one that throws', async () => {
    const [leader, follower] = [await join(), await join()]
    leader.onRing(() => {
      throw new Error('a listener threw')
    })
    const heard = nextRing(leader)
    follower.ring()
    await heard
    expect(errors).toMatchObject([{ message: 'a listener threw' }])
  })

  test('after close() does nothing', async () => {
    const leader = await join()
    await leader.close()
    expect(() => leader.ring()).not.toThrow()
  })
})

describe('close()', () => {
  test('of the leader hands over to one that may lead, and the others follow that one', async () => {
    const [leader, listener, heir] = [await join(), await join({ lead: false }), await join()]
    const changed = nextChange(heir)
    await leader.close()
    expect(await changed).toBe(true)
    expect(heir.leads).toBe(true)
    const heard = nextRing(listener)
    await vi.waitFor(() => {
      listener.ring()
      expect(listener.attended).toBe(true)
    }, PATIENCE)
    heir.ring()
    await heard
  })

  test('of the leader counts as rung for its successor, which it may not have told of its last commit', async () => {
    const [leader, heir] = [await join(), await join()]
    await nextRing(heir)
    const rings = vi.fn()
    heir.onRing(rings)
    const changed = nextChange(heir)
    await leader.close()
    await changed
    expect(rings).toHaveBeenCalled()
  })

  test('of the leader leaves its successor attended, even while it is a candidate', async () => {
    const standing = Promise.withResolvers<void>()
    const gate = Promise.withResolvers<void>()
    const slow = Object.assign(Object.create(ledger) as TreeLedger, {
      look: ledger.look.bind(ledger),
      async transact<T>(write: (tx: Transaction) => T) {
        standing.resolve()
        await gate.promise
        return ledger.transact(write)
      },
      get: ledger.get.bind(ledger),
    })
    const [leader, heir] = [await join(), await join({ ledger: slow })]
    await leader.close()
    await standing.promise
    expect(heir).toMatchObject({ leads: false, attended: true })
    const changed = nextChange(heir)
    gate.resolve()
    expect(await changed).toBe(true)
  })

  test('of the leader refuses its guarded commits from then on', async () => {
    const leader = await join()
    await leader.close()
    await expect(commitAs(leader)).rejects.toMatchObject({ code: 'CONFLICT' })
    expect(leader).toMatchObject({ leads: false, attended: false })
  })

  test('leaves no socket behind', async () => {
    const all = await Promise.all(Array.from({ length: 4 }, () => join()))
    await Promise.all(all.map((member) => member.close()))
    expect(sockets()).toEqual([])
  })
})

describe('a leader that was replaced', () => {
  test('has its guarded commits refused', async () => {
    const leader = await join()
    await name({ socket: 'syncer-00000000000b.sock' })
    await expect(commitAs(leader)).rejects.toMatchObject({ code: 'CONFLICT' })
  })

  test('follows its successor after stepDown()', async () => {
    const leader = await join()
    const server = await lead(() => {})
    const changed = nextChange(leader)
    await leader.stepDown()
    expect(await changed).toBe(false)
    expect(leader).toMatchObject({ leads: false, attended: true })
    await leader.close()
    server.close()
  })

  test('steps down by itself with the next ring', async () => {
    const [leader, follower] = [await join(), await join()]
    const server = await lead(() => {})
    const changed = nextChange(leader)
    follower.ring()
    expect(await changed).toBe(false)
    await vi.waitFor(() => expect([leader.attended, follower.attended]).toEqual([true, true]), PATIENCE)
    await Promise.all([leader.close(), follower.close()])
    server.close()
  })

  test('leads on after stepDown() if it was not replaced', async () => {
    const leader = await join()
    await leader.stepDown()
    expect(leader.leads).toBe(true)
    await expect(commitAs(leader)).resolves.toMatchObject({})
  })
})

describe('a leader that does not acknowledge', () => {
  let server: Server

  afterEach(() => server.close())

  async function passTicks(count: number): Promise<void> {
    for (let i = 0; i < count; i++) await vi.advanceTimersByTimeAsync(1000)
  }

  test('is replaced 5 seconds after a ring, by one that may lead', async () => {
    server = await lead(() => {})
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const follower = await join()
    follower.ring()
    await passTicks(4)
    expect(follower).toMatchObject({ leads: false, attended: true })
    const changed = nextChange(follower)
    await passTicks(1)
    expect(await changed).toBe(true)
    await expect(commitAs(follower)).resolves.toMatchObject({})
  })

  test('is not replaced while nobody rings', async () => {
    server = await lead(() => {})
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const follower = await join()
    expect(vi.getTimerCount()).toBe(0)
    expect(follower).toMatchObject({ leads: false, attended: true })
  })

  test('leaves one that may not lead unattended, until the next ring finds it again', async () => {
    server = await lead(() => {})
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const follower = await join({ lead: false })
    follower.ring()
    await passTicks(5)
    expect(follower.attended).toBe(false)
    follower.ring()
    await vi.waitFor(() => expect(follower.attended).toBe(true), PATIENCE)
  })

  test('and a follower that was itself suspended for long counts one second of that', async () => {
    server = await lead(() => {})
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const follower = await join()
    follower.ring()
    vi.setSystemTime(Date.now() + 3_600_000)
    vi.runOnlyPendingTimers()
    expect(follower).toMatchObject({ leads: false, attended: true })
  })
})

test('a leader that accepts and hangs up is asked again at growing intervals, not at once', async () => {
  let connections = 0
  const server = await lead((socket) => {
    connections++
    socket.destroy()
  })
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  await join()
  await vi.waitFor(() => expect(vi.getTimerCount()).toBe(1), PATIENCE)
  const before = connections
  await vi.advanceTimersByTimeAsync(1000)
  await vi.waitFor(() => expect(connections).toBeGreaterThan(before), PATIENCE)
  await Promise.all(members.map((member) => member.close()))
  server.close()
})

test('a follower whose leader hangs up twice as it ends is attended until it leads', async () => {
  const connections: Socket[] = []
  const server = await lead((socket) => connections.push(socket))
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  const follower = await join()
  // A dying process closes its files one by one: its socket may accept a last connection.
  for (const count of [1, 2]) {
    await vi.waitFor(() => expect(connections).toHaveLength(count), PATIENCE)
    connections.at(-1)?.destroy()
  }
  server.close()
  while (!follower.leads) {
    expect(follower.attended).toBe(true)
    await vi.advanceTimersByTimeAsync(10)
  }
})

test('who is replaced before it hears that it leads stands again', async () => {
  const replaced = new MemoryLedger()
  const transact = replaced.transact.bind(replaced)
  vi.spyOn(replaced, 'transact').mockImplementationOnce(async (write) => {
    const made = await transact(write)
    await transact((tx) => nameIn(tx, { socket: 'syncer-00000000000b.sock' }))
    return made
  })
  const member = await join({ ledger: replaced })
  expect(member.leads).toBe(true)
  await replaced.transact(member.fence())
})

describe('a commit that fails', () => {
  /** Its first commits fail, after having been made or instead. */
  class FailingLedger extends MemoryLedger {
    failures = 0
    commits = false

    override async transact<T>(write: (tx: Transaction) => T): Promise<Committed<T>> {
      if (this.failures-- <= 0) return super.transact(write)
      if (this.commits) await super.transact(write)
      throw new StorageError('UNAVAILABLE', { op: 'commit' }, { ambiguous: true })
    }
  }

  test('leaves the process without a leader; it stands again later', async () => {
    const failing = new FailingLedger()
    failing.failures = 2
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const member = await join({ ledger: failing })
    expect(member).toMatchObject({ leads: false, attended: false })
    expect(sockets()).toEqual([])
    await vi.advanceTimersByTimeAsync(1000)
    await vi.waitFor(() => expect(errors).toHaveLength(2), PATIENCE)
    const changed = nextChange(member)
    await vi.advanceTimersByTimeAsync(2000)
    expect(await changed).toBe(true)
    expect(errors).toMatchObject([{ code: 'UNAVAILABLE' }, { code: 'UNAVAILABLE' }])
  })

  test('and was still made makes the leader', async () => {
    const failing = new FailingLedger()
    Object.assign(failing, { failures: 1, commits: true })
    const member = await join({ ledger: failing })
    expect(member.leads).toBe(true)
    await failing.transact(member.fence())
  })
})

test('whichever processes come and go, one leads while any may, and every ring reaches all of them', async () => {
  const step = fc.oneof(
    fc.constant({ do: 'join', lead: true } as const),
    fc.constant({ do: 'join', lead: false } as const),
    fc.record({ do: fc.constantFrom('close', 'ring', 'replace', 'wait'), who: fc.nat() }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      ledger = new MemoryLedger()
      members = []
      const pending: Promise<unknown>[] = []
      for (const one of steps) {
        if (one.do === 'join') pending.push(join({ lead: one.lead }))
        else await act(one.do, one.who, pending)
      }
      await Promise.all(pending)
      const open = members.filter((member) => !closed.has(member))
      if (open.length > 0) await checkUnited(open)
      await Promise.all(members.map((member) => member.close()))
      expect(sockets()).toEqual([])
      expect(errors).toEqual([])
    }),
    { numRuns: 200, endOnFailure: true },
  )
})

const closed = new WeakSet<Leadership>()

async function act(what: 'close' | 'ring' | 'replace' | 'wait', who: number, pending: Promise<unknown>[]) {
  const member = members[who % members.length]
  if (what === 'wait') await new Promise(setImmediate)
  else if (what === 'replace') await replace()
  else if (what === 'ring') member?.ring()
  else if (member) {
    closed.add(member)
    pending.push(member.close())
  }
}

/** Takes over, and connects to every socket, as each new leader does; then dies. */
async function replace(): Promise<void> {
  await name({ socket: 'syncer-00000000000b.sock' })
  for (const socket of sockets()) {
    const visitor = createConnection(path.join(directory, socket)).on('error', () => {}) // It may be gone already.
    visitor.once('connect', () => visitor.destroy())
    await new Promise((resolve) => visitor.once('close', resolve))
  }
}

async function checkUnited(open: readonly Leadership[]): Promise<void> {
  // Those that may not lead need a leader to follow.
  if (!open.some(({ leads }) => leads)) await join()
  const heard = new Set<Leadership>()
  for (const member of open) member.onRing(() => heard.add(member))
  await vi.waitFor(
    () => {
      heard.clear()
      for (const member of open) member.ring()
      expect(members.filter(({ leads }) => leads)).toHaveLength(1)
      expect(open.every(({ attended }) => attended)).toBe(true)
    },
    { interval: 1, ...PATIENCE },
  )
  // A process that is alone hears nobody.
  await vi.waitFor(() => expect(open.length === 1 || heard.size === open.length).toBe(true), {
    interval: 1,
    ...PATIENCE,
  })
}
