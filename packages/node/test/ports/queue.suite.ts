import type { Claimed, Job, JobFilter, NewJob, Place, View } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { type Current, collectPages, commit, failPlan, idOf } from './subject.ts'

const START = 1_732_844_100_000
const LEASE = { leaseMs: 60_000 }
const MAX_DELAY_MS = 60 * 60 * 1000
const YEAR = 365 * 24 * 60 * 60 * 1000
const ERROR = new StorageError('TIMEOUT', { op: 'put', backend: 'x', key: 'k' })
const FAILURE = { code: 'TIMEOUT', message: ERROR.message }

export function queueSuite(current: Current): void {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['Date'], now: START })
    return () => {
      vi.useRealTimers()
    }
  })

  const jobOf = (text: string, backend: string, key: string, more: Partial<NewJob> = {}): NewJob => {
    return { op: 'put', backend, key, id: idOf(text), size: 10, ...more }
  }
  const enqueue = (...args: Parameters<typeof jobOf>) =>
    commit(current(), (tx) => current().queue.enqueue(tx, jobOf(...args)))
  const claim = (backend: string, max = 100) => current().queue.claim(backend, { max, ...LEASE })
  const claimOne = async (backend: string): Promise<Claimed> => {
    const [job, ...more] = await claim(backend)
    if (!job || more.length > 0) throw new Error(`claimed ${more.length} too many`)
    return job
  }
  const complete = (job: Claimed) => commit(current(), (tx) => current().queue.complete(tx, job))
  const retry = (job: Claimed, afterMs = 0, free = false) =>
    commit(current(), (tx) => current().queue.retry(tx, job, { error: ERROR, afterMs, free }))
  const giveBack = (job: Claimed) => commit(current(), (tx) => current().queue.giveBack(tx, job))
  const unpark = (backend: string, key: string) =>
    commit(current(), (tx) => current().queue.unpark(tx, { backend, key }))
  const begun = (backend: string, key: string) =>
    current().ledger.look((view) => current().queue.begun(view, { backend, key }))
  const park = (job: Claimed) => commit(current(), (tx) => current().queue.park(tx, job, ERROR))
  const jobs = (filter: JobFilter = {}) => collectPages(current().queue.jobs(filter))
  const states = async (filter?: JobFilter) => (await jobs(filter)).map(({ state, key, id }) => [state, key, id])
  const counts = async (backend: string) => (await current().queue.counts())[backend]
  const pass = (ms: number) => vi.setSystemTime(Date.now() + ms)

  describe('enqueue()', () => {
    test('makes a waiting job, due at once, not yet tried', async () => {
      await enqueue('a', 'x', 'k')
      expect(await jobs()).toEqual([
        {
          ...jobOf('a', 'x', 'k'),
          state: 'waiting',
          attempts: 0,
          seq: expect.any(Number),
          created: START,
          due: START,
        },
      ])
      expect(await counts('x')).toEqual({ waiting: 1, running: 0, parked: 0, bytes: 10, oldest: START })
    })

    test('replaces the waiting job of its place, and of no other', async () => {
      await enqueue('a', 'x', 'k')
      await enqueue('a', 'x', 'kk')
      await enqueue('a', 'y', 'k')
      pass(1)
      await enqueue('b', 'x', 'k', { size: 3 })
      expect(await states({ backend: 'x' })).toEqual([
        ['waiting', 'kk', idOf('a')],
        ['waiting', 'k', idOf('b')],
      ])
      expect(await counts('x')).toEqual({ waiting: 2, running: 0, parked: 0, bytes: 13, oldest: START })
      expect(await counts('y')).toEqual({ waiting: 1, running: 0, parked: 0, bytes: 10, oldest: START })
      expect((await claim('x')).map(({ key, id }) => [key, id])).toEqual([
        ['kk', idOf('a')],
        ['k', idOf('b')],
      ])
    })

    test('replaces a job that waits for its next try: the newer one is due at once', async () => {
      await enqueue('a', 'x', 'k')
      await retry(await claimOne('x'), 60_000)
      await enqueue('b', 'x', 'k')
      expect(await claimOne('x')).toMatchObject({ id: idOf('b'), attempts: 1 })
    })

    test('replaces the parked job of its place', async () => {
      await enqueue('a', 'x', 'k')
      await park(await claimOne('x'))
      await enqueue('b', 'x', 'k', { op: 'delete', size: 0 })
      expect(await states()).toEqual([['waiting', 'k', idOf('b')]])
      expect(await counts('x')).toEqual({ waiting: 1, running: 0, parked: 0, bytes: 0, oldest: START })
    })

    test('stands behind the running job of its place: neither claimed nor due until that one ends', async () => {
      await enqueue('a', 'x', 'k')
      await claimOne('x')
      await enqueue('b', 'x', 'k')
      await enqueue('c', 'x', 'k')
      expect(await states()).toEqual([
        ['running', 'k', idOf('a')],
        ['waiting', 'k', idOf('c')],
      ])
      expect(await claim('x')).toEqual([])
      expect(await current().queue.nextDue('x')).toBeNull()
    })

    test('in a transaction that fails leaves no job and wakes nobody', async () => {
      const woken: string[] = []
      current().queue.onWork((backend) => woken.push(backend))
      const failing = commit(current(), (tx) => {
        current().queue.enqueue(tx, jobOf('a', 'x', 'k'))
        failPlan()
      })
      await expect(failing).rejects.toMatchObject({ code: 'CONFLICT' })
      expect(await jobs()).toEqual([])
      expect(woken).toEqual([])
    })
  })

  describe('when a running job ends, the one behind it', () => {
    test.for([
      ['complete()', complete],
      ['retry()', (job: Claimed) => retry(job, 60_000)],
      ['park()', park],
      ['giveBack()', giveBack],
      ['recover()', () => current().queue.recover()],
    ] as [string, (job: Claimed) => Promise<unknown>][])(
      'by %s: may be claimed, and is the only one left',
      async ([, end]) => {
        await enqueue('a', 'x', 'k')
        const first = await claimOne('x')
        await enqueue('b', 'x', 'k', { size: 7 })
        await end(first)
        expect(await states()).toEqual([['waiting', 'k', idOf('b')]])
        expect(await counts('x')).toEqual({ waiting: 1, running: 0, parked: 0, bytes: 7, oldest: START })
        expect(await claimOne('x')).toMatchObject({ id: idOf('b'), attempts: 1 })
      },
    )
  })

  describe('claim()', () => {
    test('takes jobs of one backend, the longest due first, then in the order they were queued', async () => {
      await enqueue('a', 'x', 'late')
      await retry(await claimOne('x'), 500)
      await enqueue('a', 'x', 'z')
      pass(1)
      await enqueue('a', 'x', 'a')
      for (const job of await claim('x')) await retry(job)
      await enqueue('a', 'y', 'other')
      pass(1)
      await enqueue('a', 'x', '0')
      pass(1000)
      expect((await claim('x')).map(({ key }) => key)).toEqual(['z', 'a', '0', 'late'])
    })

    test('takes no more than `max`, and leaves the others', async () => {
      for (const key of ['a', 'b', 'c']) await enqueue('a', 'x', key)
      expect((await claim('x', 2)).map(({ key }) => key)).toEqual(['a', 'b'])
      expect((await claim('x', 2)).map(({ key }) => key)).toEqual(['c'])
      expect(await claim('x', 2)).toEqual([])
    })

    test('takes nothing before it is due', async () => {
      await enqueue('a', 'x', 'k')
      await retry(await claimOne('x'), 1000)
      pass(999)
      expect(await claim('x')).toEqual([])
      pass(1)
      expect(await claimOne('x')).toMatchObject({ attempts: 2, error: FAILURE })
    })

    test('of one key takes that alone, once it is due', async () => {
      for (const key of ['a first', 'wanted', 'z last']) await enqueue('a', 'x', key)
      const wanted = { max: 3, ...LEASE, key: 'wanted' }
      const [job] = await current().queue.claim('x', wanted)
      expect(job).toMatchObject({ key: 'wanted', attempts: 1 })
      expect(await current().queue.claim('x', wanted)).toEqual([])
      await retry(job as Claimed, 1000)
      expect(await current().queue.claim('x', wanted)).toEqual([])
      pass(1000)
      expect(await current().queue.claim('x', wanted)).toHaveLength(1)
      expect(await current().queue.claim('x', { ...wanted, key: 'none' })).toEqual([])
    })

    test('counts the attempt, and keeps the age of the job', async () => {
      await enqueue('a', 'x', 'k')
      for (let attempts = 1; attempts <= 3; attempts++) {
        pass(10)
        const job = await claimOne('x')
        expect(job).toMatchObject({ ...jobOf('a', 'x', 'k'), state: 'running', attempts, created: START })
        await retry(job)
      }
    })

    test('by several at the same moment gives each job to one', async () => {
      const keys = Array.from({ length: 20 }, (_, i) => `k${i}`)
      await Promise.all(keys.map((key) => enqueue('a', 'x', key)))
      const claims = await Promise.all(Array.from({ length: 8 }, () => claim('x', 3)))
      const taken = claims.flat()
      expect(taken).toHaveLength(20)
      expect(new Set(taken.map(({ key }) => key)).size).toBe(20)
      expect(new Set(taken.map(({ lease }) => lease)).size).toBe(20)
    })

    test('of one backend is not confused by another whose name begins alike', async () => {
      await enqueue('a', 'x', 'k')
      await enqueue('a', 'xy', 'k')
      expect(await claimOne('x')).toMatchObject({ backend: 'x' })
    })
  })

  describe('the lease', () => {
    test.for([
      ['complete()', complete],
      ['retry()', (job: Claimed) => retry(job)],
      ['park()', park],
      ['giveBack()', giveBack],
      ['mark()', (job: Claimed) => current().queue.mark(job, 1000)],
      ['renew()', (job: Claimed) => current().queue.renew(job, 1000)],
      ['keepCheckpoint()', (job: Claimed) => current().queue.keepCheckpoint(job, 'stale')],
    ] as [string, (job: Claimed) => Promise<unknown>][])(
      'lost to recover(): %s rejects CONFLICT and changes nothing',
      async ([, settle]) => {
        await enqueue('a', 'x', 'k')
        const lost = await claimOne('x')
        await current().queue.recover()
        await expect(settle(lost)).rejects.toMatchObject({ code: 'CONFLICT' })
        expect(await states()).toEqual([['waiting', 'k', idOf('a')]])

        const again = await claimOne('x')
        expect(again.checkpoint).toBeUndefined()
        await expect(settle(lost)).rejects.toMatchObject({ code: 'CONFLICT' })
        await expect(complete(again)).resolves.toMatchObject({ seq: expect.any(Number) })
      },
    )

    test('ends with the job: complete() a second time rejects CONFLICT', async () => {
      await enqueue('a', 'x', 'k')
      const job = await claimOne('x')
      await complete(job)
      await expect(complete(job)).rejects.toMatchObject({ code: 'CONFLICT' })
      expect(await counts('x')).toEqual({ waiting: 0, running: 0, parked: 0, bytes: 0 })
    })

    test('lasts through renew(): the job is still ours', async () => {
      await enqueue('a', 'x', 'k')
      const job = await claimOne('x')
      await current().queue.renew(job, 60_000)
      expect(await states()).toEqual([['running', 'k', idOf('a')]])
      await complete(job)
      expect(await jobs()).toEqual([])
    })
  })

  describe('recover()', () => {
    test('puts running jobs back, due as before, their attempts counted, and says how many', async () => {
      await enqueue('a', 'x', 'k')
      await enqueue('a', 'y', 'l')
      await enqueue('a', 'y', 'waiting')
      const [first] = [await claimOne('x'), await claim('y', 1)]
      pass(10)
      expect(await current().queue.recover()).toBe(2)
      expect((await jobs()).map(({ state, attempts, due }) => [state, attempts, due])).toEqual([
        ['waiting', 1, START],
        ['waiting', 1, START],
        ['waiting', 0, START],
      ])
      expect(await claimOne('x')).toMatchObject({ attempts: 2 })
      expect(first.attempts).toBe(1)
    })

    test('with a time leaves those whose leases last, and takes those whose leases ended', async () => {
      await enqueue('a', 'x', 'k')
      await claimOne('x')
      pass(1)
      await enqueue('a', 'y', 'l')
      await claimOne('y')
      pass(60_000 - 1)
      expect(await current().queue.recover(Date.now())).toBe(0)
      pass(1)
      expect(await current().queue.recover(Date.now())).toBe(1)
      expect(await states({ state: 'running' })).toEqual([['running', 'l', idOf('a')]])
    })

    test('of nothing running is 0', async () => {
      await enqueue('a', 'x', 'k')
      expect(await current().queue.recover()).toBe(0)
    })
  })

  describe('park() and unpark()', () => {
    test('a parked job keeps its error and is not due', async () => {
      await enqueue('a', 'x', 'k')
      await park(await claimOne('x'))
      pass(10 ** 9)
      expect(await claim('x')).toEqual([])
      expect(await current().queue.nextDue('x')).toBeNull()
      expect(await jobs({ state: 'parked' })).toMatchObject([{ key: 'k', attempts: 1, error: FAILURE }])
      expect(await counts('x')).toEqual({ waiting: 0, running: 0, parked: 1, bytes: 10 })
    })

    test('unpark() makes it wait again, with all its attempts, its error and crashes forgotten; it may have landed', async () => {
      await enqueue('a', 'x', 'k')
      const [{ seq }] = (await jobs()) as [Job]
      await claimOne('x')
      await current().queue.recover()
      await park(await claimOne('x'))
      pass(5)
      await unpark('x', 'k')
      expect(await jobs()).toEqual([
        { ...jobOf('a', 'x', 'k'), state: 'waiting', attempts: 0, begun: true, seq, created: START, due: START + 5 },
      ])
      expect(await counts('x')).toEqual({ waiting: 1, running: 0, parked: 0, bytes: 10, oldest: START })
      expect(await claimOne('x')).toMatchObject({ attempts: 1 })
    })

    test('park() with INVALID_KEY is of a try that wrote nothing; an earlier one may have landed', async () => {
      const refused = new StorageError('INVALID_KEY', { op: 'put' })
      const refuse = (job: Claimed) => commit(current(), (tx) => current().queue.park(tx, job, refused))
      await enqueue('a', 'x', 'k')
      await refuse(await claimOne('x'))
      expect(await begun('x', 'k')).toBe(false)
      await unpark('x', 'k')
      await claimOne('x')
      await current().queue.recover()
      await refuse(await claimOne('x'))
      expect(await begun('x', 'k')).toBe(true)
    })

    test('jobs() finds once a job that begins to run, or waits again, while it looks', async () => {
      await enqueue('a', 'x', 'parked')
      await park(await claimOne('x'))
      await enqueue('a', 'x', 'ran')
      const ran = await claimOne('x')
      await enqueue('a', 'x', 'waited')
      const found: [string, string][] = []
      for await (const [{ state, key }] of current().queue.jobs({}) as AsyncIterable<[Job]>) {
        found.push([state, key])
        if (state !== 'parked') continue
        await claimOne('x')
        await retry(ran)
      }
      expect(found).toEqual([
        ['running', 'ran'],
        ['parked', 'parked'],
        ['running', 'waited'],
      ])
      expect(await states({ state: 'waiting' })).toEqual([['waiting', 'ran', idOf('a')]])
    })

    test('drop() removes a job that waits or is parked, and rejects CONFLICT where one runs', async () => {
      const drop = (key: string) => commit(current(), (tx) => current().queue.drop(tx, { backend: 'x', key }))
      await enqueue('a', 'x', 'parked')
      await park(await claimOne('x'))
      await enqueue('a', 'x', 'running')
      await claimOne('x')
      await enqueue('a', 'x', 'waiting')
      await drop('parked')
      await drop('waiting')
      await drop('none')
      await expect(drop('running')).rejects.toMatchObject({ code: 'CONFLICT' })
      expect(await jobs()).toMatchObject([{ key: 'running' }])
      expect(await counts('x')).toMatchObject({ waiting: 0, running: 1, parked: 0 })
      expect(await current().queue.nextDue('x')).toBeNull()
    })

    test('unpark() takes the job of its place only, and none where none is parked', async () => {
      for (const [backend, key] of [
        ['x', 'k'],
        ['x', 'l'],
        ['y', 'k'],
      ] as const) {
        await enqueue('a', backend, key)
        await park(await claimOne(backend))
      }
      await unpark('x', 'k')
      await unpark('x', 'none')
      await unpark('none', 'k')
      expect((await jobs({ state: 'parked' })).map(({ backend, key }) => [backend, key])).toEqual([
        ['x', 'l'],
        ['y', 'k'],
      ])
      const before = await jobs({ state: 'waiting' })
      await unpark('x', 'k')
      expect(await jobs({ state: 'waiting' })).toEqual(before)
    })
  })

  describe('giveBack()', () => {
    test('leaves no trace of a claim: neither an attempt nor a beginning', async () => {
      await enqueue('a', 'x', 'k')
      const [before] = await jobs()
      pass(10)
      await giveBack(await claimOne('x'))
      expect(await jobs()).toEqual([before])
      expect(await begun('x', 'k')).toBe(false)
      expect(await counts('x')).toEqual({ waiting: 1, running: 0, parked: 0, bytes: 10, oldest: START })
      expect(await claimOne('x')).toMatchObject({ attempts: 1 })
    })

    test('keeps what earlier tries left: attempts, error, crashes and beginning', async () => {
      await enqueue('a', 'x', 'k')
      await retry(await claimOne('x'))
      await claimOne('x')
      await current().queue.recover()
      const [before] = await jobs()
      expect(before).toMatchObject({ attempts: 2, crashes: 1, begun: true, error: FAILURE })
      await giveBack(await claimOne('x'))
      expect(await jobs()).toEqual([before])
    })

    test('keeps the turn of the job before those queued later', async () => {
      await enqueue('a', 'x', 'first')
      await enqueue('a', 'x', 'second')
      await giveBack((await claim('x', 1))[0] as Claimed)
      expect((await claim('x')).map(({ key }) => key)).toEqual(['first', 'second'])
    })
  })

  describe('retry()', () => {
    test.for([false, true])('says that the try was begun, free: %s', async (free) => {
      await enqueue('a', 'x', 'k')
      await retry(await claimOne('x'), 0, free)
      expect(await begun('x', 'k')).toBe(true)
      expect(await jobs()).toMatchObject([{ begun: true, error: FAILURE, attempts: free ? 0 : 1 }])
    })

    test('free costs no attempt, however often', async () => {
      await enqueue('a', 'x', 'k')
      await retry(await claimOne('x'))
      for (let i = 0; i < 30; i++) {
        const job = await claimOne('x')
        expect(job.attempts).toBe(2)
        await retry(job, 0, true)
      }
    })

    test('clears the crashes: the try ended', async () => {
      await enqueue('a', 'x', 'k')
      await claimOne('x')
      await current().queue.recover()
      await retry(await claimOne('x'))
      expect((await claimOne('x')).crashes).toBeUndefined()
    })

    test('never puts a job off for longer than an hour', async () => {
      await enqueue('a', 'x', 'k')
      await retry(await claimOne('x'), YEAR)
      expect(await current().queue.nextDue('x')).toBe(START + MAX_DELAY_MS)
    })
  })

  describe('keepCheckpoint()', () => {
    const keep = (job: Claimed, checkpoint: string) => current().queue.keepCheckpoint(job, checkpoint)
    /** A job that was tried once and kept two checkpoints, of which the later counts. */
    const tried = async () => {
      await enqueue('a', 'x', 'k')
      const job = await claimOne('x')
      await keep(job, 'earlier')
      await keep(job, 'later')
      return job
    }

    test.for([
      ['retry()', (job: Claimed) => retry(job)],
      ['giveBack()', giveBack],
      ['recover()', () => current().queue.recover()],
    ] as [string, (job: Claimed) => Promise<unknown>][])('gives it to the try after %s', async ([, end]) => {
      await end(await tried())
      expect(await claimOne('x')).toMatchObject({ key: 'k', checkpoint: 'later' })
    })

    test('gives it to every try until there is another', async () => {
      await retry(await tried())
      await retry(await claimOne('x'))
      const third = await claimOne('x')
      expect(third.checkpoint).toBe('later')
      await keep(third, 'latest')
      await retry(third)
      expect((await claimOne('x')).checkpoint).toBe('latest')
    })

    test('with another text clears the job of crashes, and with the same does not', async () => {
      await enqueue('a', 'x', 'k')
      const crash = async (checkpoint?: string) => {
        const job = await claimOne('x')
        await current().queue.mark(job, 1000)
        if (checkpoint !== undefined) await keep(job, checkpoint)
        await current().queue.recover()
        return (await collectPages(current().queue.jobs({})))[0]?.crashes
      }
      expect([await crash(), await crash(), await crash('one part')]).toEqual([1, 2, 1])
      expect([await crash('one part'), await crash('two parts')]).toEqual([2, 1])
    })

    test('lasts through mark() and renew()', async () => {
      const job = await tried()
      await current().queue.mark(job, 1000)
      await current().queue.renew(job, 1000)
      await retry(job)
      expect((await claimOne('x')).checkpoint).toBe('later')
    })

    test.for([
      [
        'retry() with anew',
        (job: Claimed) =>
          commit(current(), (tx) => current().queue.retry(tx, job, { error: ERROR, afterMs: 0, anew: true })),
      ],
      ['park() and unpark()', (job: Claimed) => park(job).then(() => unpark('x', 'k'))],
      ['complete() and enqueue()', (job: Claimed) => complete(job).then(() => enqueue('a', 'x', 'k'))],
      ['enqueue() and retry()', (job: Claimed) => enqueue('a', 'x', 'k').then(() => retry(job))],
      ['retry() and enqueue()', (job: Claimed) => retry(job).then(() => enqueue('a', 'x', 'k'))],
    ] as [string, (job: Claimed) => Promise<unknown>][])('is dropped by %s', async ([, end]) => {
      await end(await tried())
      expect((await claimOne('x')).checkpoint).toBeUndefined()
    })

    test('changes neither state, counts nor what else is told of the job', async () => {
      await enqueue('a', 'x', 'k')
      const job = await claimOne('x')
      const before = [await jobs(), await counts('x')]
      await keep(job, 'secret to all but the driver')
      expect([await jobs(), await counts('x')]).toEqual(before)
      await retry(job)
      expect(JSON.stringify(await jobs())).not.toContain('secret')
    })
  })

  describe('crashes', () => {
    const crash = async () => void (await current().queue.recover())

    test('count one for whatever ran when its process died, and then only tries that were marked', async () => {
      await enqueue('a', 'x', 'guilty')
      await enqueue('a', 'x', 'bystander')
      await claim('x')
      await crash()
      for (let crashes = 1; crashes <= 3; crashes++) {
        const claimed = await claim('x')
        const of = Object.fromEntries(claimed.map((job) => [job.key, job]))
        expect([of.guilty?.crashes, of.bystander?.crashes]).toEqual([crashes, 1])
        await current().queue.mark(of.guilty as Claimed, 60_000)
        await crash()
      }
    })

    test('count for none of several that were marked: each goes on alone, and then only its own count', async () => {
      for (const key of ['guilty', 'innocent']) await enqueue('a', 'x', key)
      await claim('x')
      await crash()
      for (const job of await claim('x')) await current().queue.mark(job, 60_000)
      await crash()
      const [guilty, innocent] = (await claim('x')) as [Claimed, Claimed]
      expect([guilty, innocent]).toMatchObject([
        { crashes: 1, alone: true },
        { crashes: 1, alone: true },
      ])
      await current().queue.mark(guilty, 60_000)
      await crash()
      expect((await claim('x')).map(({ crashes }) => crashes)).toEqual([2, 1])
    })

    test('count for none that had run for a minute, by the last renewal of its lease', async () => {
      for (const key of ['long', 'short']) await enqueue('a', 'x', key)
      const [long] = await claim('x')
      pass(60_000)
      await current().queue.renew(long as Claimed, 60_000)
      await crash()
      expect((await jobs()).map(({ key, crashes }) => [key, crashes])).toEqual([
        ['long', undefined],
        ['short', 1],
      ])
    })

    test('before are forgotten once it has run for a minute: it does not kill its process each time', async () => {
      await enqueue('a', 'x', 'k')
      await claimOne('x')
      await crash()
      const job = await claimOne('x')
      await current().queue.mark(job, 60_000)
      pass(60_000)
      await current().queue.renew(job, 60_000)
      await crash()
      expect((await jobs())[0]?.crashes).toBeUndefined()
    })

    test('before are not forgotten while it waits for its turn, however long', async () => {
      await enqueue('a', 'x', 'k')
      await claimOne('x')
      await crash()
      const waiting = await claimOne('x')
      pass(60_000)
      await current().queue.renew(waiting, 60_000)
      await crash()
      expect((await jobs())[0]?.crashes).toBe(1)
    })

    test('count for none when the machine was started since, and count again afterwards', async () => {
      const crashAt = async (boot: string) => {
        const [job] = await claim('x')
        await current().queue.mark(job as Claimed, 60_000)
        await current().queue.recover(undefined, { boot })
        return (await jobs())[0]?.crashes
      }
      await enqueue('a', 'x', 'k')
      await current().queue.recover(undefined, { boot: 'monday' })
      for (let cut = 0; cut < 5; cut++) expect(await crashAt(`boot ${cut}`)).toBeUndefined()
      expect([await crashAt('boot 4'), await crashAt('boot 4')]).toEqual([1, 2])
      expect(await crashAt('friday')).toBe(2)
    })

    test('are none when a lease ended: its process lives on', async () => {
      await enqueue('a', 'x', 'k')
      await claimOne('x')
      pass(60_001)
      expect(await current().queue.recover(Date.now())).toBe(1)
      expect((await claimOne('x')).crashes).toBeUndefined()
    })

    test('are of the job: a newer one for the place has none', async () => {
      await enqueue('a', 'x', 'k')
      await claimOne('x')
      await crash()
      await enqueue('b', 'x', 'k')
      expect((await claimOne('x')).crashes).toBeUndefined()
    })

    test('mark() keeps the lease, and rejects CONFLICT once it is lost', async () => {
      await enqueue('a', 'x', 'k')
      const job = await claimOne('x')
      await current().queue.mark(job, 60_000)
      pass(59_999)
      expect(await current().queue.recover(Date.now())).toBe(0)
      await crash()
      await expect(current().queue.mark(job, 60_000)).rejects.toMatchObject({ code: 'CONFLICT' })
      expect(await jobs()).toMatchObject([{ state: 'waiting', crashes: 1 }])
    })
  })

  describe('park() with retrialAfterMs', () => {
    const HOUR = 60 * 60 * 1000
    const parkFor = async (hours: number) => {
      await enqueue('a', 'x', 'k')
      const job = await claimOne('x')
      await commit(current(), (tx) => current().queue.park(tx, job, ERROR, { retrialAfterMs: hours * HOUR }))
    }

    test('is parked until then, and claimed as a retrial then, with all that is known of it', async () => {
      await parkFor(1)
      expect(await jobs()).toMatchObject([{ state: 'parked', error: FAILURE, due: START + HOUR }])
      expect(await current().queue.nextDue('x')).toBe(START + HOUR)
      pass(HOUR - 1)
      expect(await claim('x')).toEqual([])
      pass(1)
      const job = await claimOne('x')
      expect(job).toMatchObject({ key: 'k', retrial: true, attempts: 2, begun: true })
      expect(await counts('x')).toEqual({ waiting: 0, running: 1, parked: 0, bytes: 10, oldest: START })
      await retry(job)
      expect((await claimOne('x')).retrial).toBeUndefined()
    })

    test.each([
      ['drop()', (place: Place) => commit(current(), (tx) => current().queue.drop(tx, place))],
      [
        'unpark() and a claim',
        async () => {
          await unpark('x', 'k')
          await claimOne('x')
        },
      ],
    ])('%s leaves no time at which it is due', async (_, take) => {
      await parkFor(1)
      await take({ backend: 'x', key: 'k' })
      expect(await current().queue.nextDue('x')).toBeNull()
    })

    test('for longer than an hour is met each hour, and is parked all the same', async () => {
      await parkFor(4)
      for (let hours = 1; hours < 4; hours++) {
        pass(HOUR)
        expect(await claim('x')).toEqual([])
        expect(await counts('x')).toEqual({ waiting: 0, running: 0, parked: 1, bytes: 10 })
      }
      pass(HOUR)
      expect(await claimOne('x')).toMatchObject({ retrial: true })
    })

    test('outlives a clock that is set back by a year', async () => {
      await parkFor(4)
      pass(-YEAR)
      const claimed: Claimed[] = []
      for (let hours = 0; hours < 5; hours++) {
        claimed.push(...(await claim('x')))
        pass(HOUR)
      }
      expect(claimed).toMatchObject([{ key: 'k', retrial: true }])
    })

    test('given back, or cut off by a restart of the machine, is a retrial still; after a crash it is none', async () => {
      await current().queue.recover(undefined, { boot: 'monday' })
      await parkFor(1)
      pass(HOUR)
      await giveBack(await claimOne('x'))
      expect(await claimOne('x')).toMatchObject({ retrial: true })
      await current().queue.recover(undefined, { boot: 'tuesday' })
      expect(await claimOne('x')).toMatchObject({ retrial: true })
      await current().queue.recover(undefined, { boot: 'tuesday' })
      expect((await claimOne('x')).retrial).toBeUndefined()
    })

    test.for([
      ['unpark()', () => unpark('x', 'k')],
      ['enqueue()', () => enqueue('b', 'x', 'k')],
    ] as [string, () => Promise<unknown>][])('is not awaited any more after %s', async ([, end]) => {
      await parkFor(1)
      await end()
      await complete(await claimOne('x'))
      expect(await current().queue.nextDue('x')).toBeNull()
      pass(HOUR)
      expect(await claim('x')).toEqual([])
    })

    test('is not hastened by resume()', async () => {
      await parkFor(1)
      await current().queue.resume('x')
      expect(await claim('x')).toEqual([])
      expect(await jobs()).toMatchObject([{ state: 'parked', due: START + HOUR }])
    })
  })

  describe('pause() and resume()', () => {
    test('paused, nothing is claimed and nothing is due; running jobs go on', async () => {
      await enqueue('a', 'x', 'running')
      const running = await claimOne('x')
      await enqueue('a', 'x', 'waiting')
      await current().queue.pause('x')
      expect(await current().queue.isPaused('x')).toBe(true)
      expect(await claim('x')).toEqual([])
      expect(await current().queue.nextDue('x')).toBeNull()
      await current().queue.renew(running, 60_000)
      await complete(running)
      expect(await states()).toEqual([['waiting', 'waiting', idOf('a')]])
    })

    test('paused at the same moment, nothing is claimed', async () => {
      await enqueue('a', 'x', 'k')
      const [, claimed] = await Promise.all([current().queue.pause('x'), claim('x')])
      expect(claimed).toEqual([])
    })

    test('is of one backend, also beside one whose name begins alike', async () => {
      await enqueue('a', 'x', 'k')
      await enqueue('a', 'xy', 'k')
      await current().queue.pause('xy')
      expect(await current().queue.isPaused('x')).toBe(false)
      expect(await claim('xy')).toEqual([])
      expect(await claim('x')).toHaveLength(1)
    })

    test('resume() lets everything go on as it was; both are safe to repeat', async () => {
      await enqueue('a', 'x', 'k')
      const before = await jobs()
      await current().queue.pause('x')
      await current().queue.pause('x')
      await current().queue.resume('x')
      await current().queue.resume('x')
      expect(await current().queue.isPaused('x')).toBe(false)
      expect(await jobs()).toEqual(before)
      expect(await claim('x')).toHaveLength(1)
    })

    test('resume() lets all that failed earlier be due now, and keeps what is known of it', async () => {
      for (const key of ['a', 'b']) await enqueue('a', 'x', key)
      await enqueue('a', 'xy', 'other')
      for (const job of await claim('x')) await retry(job, 60_000)
      await retry(await claimOne('xy'), 60_000)
      await enqueue('a', 'x', 'fresh')
      pass(1000)
      await current().queue.resume('x')
      expect(await jobs({ backend: 'x' })).toMatchObject([
        { key: 'a', due: START + 1000, attempts: 1, error: FAILURE },
        { key: 'b', due: START + 1000, attempts: 1, error: FAILURE },
        { key: 'fresh', due: START, attempts: 0 },
      ])
      expect(await jobs({ backend: 'xy' })).toMatchObject([{ due: START + 60_000 }])
      expect((await claim('x')).map(({ key }) => key)).toEqual(['fresh', 'a', 'b'])
    })

    test('resume() of a thousand that failed is many small commits', async () => {
      const keys = Array.from({ length: 1200 }, (_, i) => `k${i}`)
      for (let i = 0; i < keys.length; i += 100)
        await commit(current(), (tx) => {
          for (const key of keys.slice(i, i + 100))
            current().queue.enqueue(tx, { op: 'put', backend: 'x', key, id: idOf('a'), size: 1 })
        })
      for (let taken = await claim('x', 100); taken.length > 0; taken = await claim('x', 100))
        await commit(current(), (tx) => {
          for (const job of taken) current().queue.retry(tx, job, { error: ERROR, afterMs: 60_000 })
        })
      const transact = vi.spyOn(current().ledger, 'transact')
      await current().queue.resume('x')
      expect(transact.mock.calls.length).toBeGreaterThan(3)
      expect(await current().queue.nextDue('x')).toBe(START)
      expect(await claim('x', 1200)).toHaveLength(1200)
    })

    test('wakes who waits for work', async () => {
      const woken: string[] = []
      current().queue.onWork((backend) => woken.push(backend))
      await current().queue.pause('x')
      await current().queue.resume('x')
      expect(woken).toEqual(['x', 'x'])
    })

    test('resumed() is another text after each resume(): null before the first, and while it is paused', async () => {
      const { queue } = current()
      expect(await queue.resumed('x')).toBeNull()
      await queue.resume('x')
      const first = await queue.resumed('x')
      expect(first).toBeTypeOf('string')
      expect(await queue.resumed('x')).toBe(first)
      await queue.pause('x')
      expect(await queue.resumed('x')).toBeNull()
      await queue.resume('x')
      const second = await queue.resumed('x')
      expect(second).toBeTypeOf('string')
      expect(second).not.toBe(first)
      expect(await queue.resumed('y')).toBeNull()
    })
  })

  describe('choose()', () => {
    const choose = (nearness: (job: Job) => number, since = 0) => current().queue.choose('x', { since, nearness })

    test('is the due job of the least nearness, of several the one longest due; it stays where it is', async () => {
      for (const key of ['a', 'b', 'c', 'd']) await enqueue('a', 'x', key)
      await enqueue('a', 'y', 'e')
      expect(await choose(({ key }) => ({ b: 1, c: 1 })[key] ?? 2)).toBe('b')
      expect(await choose(({ key }) => (key === 'd' ? 0 : 5))).toBe('d')
      expect(await choose(() => Number.POSITIVE_INFINITY)).toBeNull()
      expect((await states()).filter(([state]) => state === 'waiting')).toHaveLength(5)
    })

    test('is none that is not due, runs, is parked, or fell due before', async () => {
      for (const key of ['a late', 'b running', 'c parked', 'd old']) await enqueue('a', 'x', key)
      const [late, , parked] = (await claim('x', 3)) as [Claimed, Claimed, Claimed]
      await retry(late, 1000)
      await park(parked)
      expect(await choose(() => 1)).toBe('d old')
      expect(await choose(() => 1, Date.now() + 1)).toBeNull()
      pass(1000)
      expect(await choose(() => 1, Date.now())).toBe('a late')
    })

    test('tells what the last try of a job failed with', async () => {
      await enqueue('a', 'x', 'k')
      await retry(await claimOne('x'))
      const seen: unknown[] = []
      await choose(({ error }) => seen.push(error?.code))
      expect(seen).toEqual(['TIMEOUT'])
    })

    test('reads no more than it takes, and all of a thousand when it must', async () => {
      const keys = Array.from({ length: 1200 }, (_, i) => `k${i}`)
      for (let i = 0; i < keys.length; i += 100)
        await commit(current(), (tx) => {
          for (const key of keys.slice(i, i + 100))
            current().queue.enqueue(tx, { op: 'put', backend: 'x', key, id: idOf('a'), size: 1 })
        })
      const read: string[] = []
      const thirdOf = ({ key }: Job) => (read.push(key) === 3 ? 0 : 1)
      expect(await choose(thirdOf)).toBe('k10')
      // Queued by one commit, they come in the order of their keys.
      expect(read).toEqual(['k0', 'k1', 'k10'])
      expect(await choose(({ key }) => (key === 'k1199' ? 0 : 1))).toBe('k1199')
    })
  })

  describe('claim({ fence })', () => {
    const fenced = (key: string) => {
      const fence = (view: View) => {
        if (current().queue.begun(view, { backend: 'y', key })) throw new StorageError('CONFLICT', { op: 'commit' })
      }
      return current().queue.claim('x', { max: 1, ...LEASE, fence })
    }

    test('whose fence throws takes nothing and counts nothing', async () => {
      await enqueue('a', 'x', 'k')
      await enqueue('a', 'y', 'k')
      await claimOne('y')
      const before = await jobs()
      await expect(fenced('k')).rejects.toMatchObject({ code: 'CONFLICT' })
      expect(await jobs()).toEqual(before)
    })

    test('whose fence does not throw takes what is due', async () => {
      await enqueue('a', 'x', 'k')
      expect(await fenced('k')).toHaveLength(1)
    })
  })

  describe('counts().oldest', () => {
    test('is when the oldest that waits or runs was queued, whatever became of it since', async () => {
      await enqueue('a', 'x', 'old')
      pass(1000)
      await enqueue('a', 'x', 'new')
      const oldest = async () => (await counts('x'))?.oldest
      expect(await oldest()).toBe(START)
      await retry((await claim('x', 1))[0] as Claimed, 60_000)
      expect(await oldest()).toBe(START)
      const newer = await claimOne('x')
      expect(newer.key).toBe('new')
      await complete(newer)
      expect(await oldest()).toBe(START)
      pass(60_000)
      await park(await claimOne('x'))
      expect(await oldest()).toBeUndefined()
      await unpark('x', 'old')
      expect(await oldest()).toBe(START)
    })

    test('is forgotten with a job that a newer one replaces', async () => {
      await enqueue('a', 'x', 'k')
      pass(1000)
      await enqueue('b', 'x', 'k')
      expect((await counts('x'))?.oldest).toBe(START + 1000)
    })

    test('of a running job and one behind it is that of the running one', async () => {
      await enqueue('a', 'x', 'k')
      const running = await claimOne('x')
      pass(1000)
      await enqueue('b', 'x', 'k')
      expect((await counts('x'))?.oldest).toBe(START)
      await complete(running)
      expect((await counts('x'))?.oldest).toBe(START + 1000)
    })
  })

  describe('a clock that is set', () => {
    test('forward by a year loses nothing: what waited is due, in its order, what runs is ours still', async () => {
      await enqueue('a', 'x', 'running')
      const running = await claimOne('x')
      await enqueue('a', 'x', 'later')
      await retry((await claim('x', 1))[0] as Claimed, 60_000)
      await enqueue('a', 'x', 'now')
      pass(YEAR)
      expect((await claim('x')).map(({ key }) => key)).toEqual(['now', 'later'])
      await complete(running)
    })

    test('back by a year delays nothing: what was dated by it is due, in its order', async () => {
      for (const key of ['a', 'b', 'c']) await enqueue('a', 'x', key)
      await retry((await claim('x', 1))[0] as Claimed, 60_000)
      pass(-YEAR)
      expect(await current().queue.nextDue('x')).toBe(START - YEAR)
      expect((await claim('x')).map(({ key }) => key)).toEqual(['b', 'c', 'a'])
      expect(await current().queue.nextDue('x')).toBeNull()
    })

    test('back puts what is dated rightly first', async () => {
      await enqueue('a', 'x', 'before')
      pass(-YEAR)
      await enqueue('a', 'x', 'after')
      expect((await claim('x')).map(({ key }) => key)).toEqual(['after', 'before'])
    })

    test('back by less than an hour delays what waits by an hour at most', async () => {
      await enqueue('a', 'x', 'k')
      await retry(await claimOne('x'), MAX_DELAY_MS - 1000)
      pass(-1000)
      expect(await current().queue.nextDue('x')).toBe(Date.now() + MAX_DELAY_MS)
      pass(-1)
      expect(await current().queue.nextDue('x')).toBe(Date.now())
    })

    test('back by a year does not lengthen a lease by a year', async () => {
      await enqueue('a', 'x', 'k')
      await claimOne('x')
      pass(-YEAR)
      expect(await current().queue.recover(Date.now())).toBe(1)
    })
  })

  describe('nextDue()', () => {
    test('is when the first waiting job may be tried, `null` when there is none', async () => {
      expect(await current().queue.nextDue('x')).toBeNull()
      await enqueue('a', 'x', 'k')
      expect(await current().queue.nextDue('x')).toBe(START)
      await retry(await claimOne('x'), 1234.4)
      expect(await current().queue.nextDue('x')).toBe(START + 1234)
      await enqueue('a', 'y', 'k')
      expect(await current().queue.nextDue('x')).toBe(START + 1234)
    })
  })

  describe('jobs()', () => {
    test('are filtered by backend, key, blob and state', async () => {
      await enqueue('a', 'x', 'k')
      await enqueue('b', 'x', 'l')
      await enqueue('a', 'y', 'k')
      await claimOne('y')
      expect(await states({ backend: 'x' })).toEqual([
        ['waiting', 'k', idOf('a')],
        ['waiting', 'l', idOf('b')],
      ])
      expect(await states({ key: 'k' })).toEqual([
        ['running', 'k', idOf('a')],
        ['waiting', 'k', idOf('a')],
      ])
      expect(await states({ id: idOf('b') })).toEqual([['waiting', 'l', idOf('b')]])
      expect(await states({ state: 'running' })).toEqual([['running', 'k', idOf('a')]])
      expect(await states({ backend: 'y', state: 'waiting' })).toEqual([])
    })

    test('of a key come from every backend and in every state, and of no key that begins alike', async () => {
      await enqueue('a', 'x', 'k')
      await park(await claimOne('x'))
      await enqueue('a', 'y', 'k')
      await claimOne('y')
      await enqueue('b', 'y', 'k')
      await enqueue('a', 'z', 'kk')
      expect((await jobs({ key: 'k' })).map(({ state, backend }) => [state, backend])).toEqual([
        ['running', 'y'],
        ['parked', 'x'],
        ['waiting', 'y'],
      ])
      expect(await states({ key: 'k', backend: 'y', state: 'waiting' })).toEqual([['waiting', 'k', idOf('b')]])
      expect(await states({ key: 'k', id: idOf('b') })).toEqual([['waiting', 'k', idOf('b')]])
      expect(await states({ key: 'none' })).toEqual([])
      expect(await states({ key: 'k', backend: 'none' })).toEqual([])
    })

    test('that wait come in the order they were queued, those behind a running one too', async () => {
      for (const key of ['b', 'c', 'a']) {
        await enqueue('a', 'x', key)
        pass(1)
      }
      await claim('x', 1)
      await enqueue('b', 'x', 'b')
      expect((await jobs({ state: 'waiting' })).map(({ key }) => key)).toEqual(['c', 'a', 'b'])
    })
  })

  describe('onWork()', () => {
    test.for([
      ['enqueue()', async () => enqueue('a', 'x', 'new')],
      ['complete() with one waiting behind', async (job: Claimed) => complete(job)],
      ['retry()', async (job: Claimed) => retry(job, 1000)],
      ['recover()', async () => current().queue.recover()],
    ] as [string, (job: Claimed) => Promise<unknown>][])(
      'is told after %s, once the job can be found',
      async ([, act]) => {
        await enqueue('a', 'x', 'k')
        const job = await claimOne('x')
        await enqueue('b', 'x', 'k')
        let found: Promise<number | null> | undefined
        current().queue.onWork((backend) => {
          found ??= current().queue.nextDue(backend)
        })
        await act(job)
        expect(await found).toEqual(expect.any(Number))
      },
    )

    test('is told after unpark()', async () => {
      await enqueue('a', 'x', 'k')
      await park(await claimOne('x'))
      const woken: string[] = []
      current().queue.onWork((backend) => woken.push(backend))
      await unpark('x', 'k')
      expect(woken).toEqual(['x'])
    })

    test('is told no more once it was ended', async () => {
      const woken: string[] = []
      const end = current().queue.onWork((backend) => woken.push(backend))
      await enqueue('a', 'x', 'k')
      end()
      await enqueue('a', 'y', 'k')
      expect(woken).toEqual(['x'])
    })
  })
}
