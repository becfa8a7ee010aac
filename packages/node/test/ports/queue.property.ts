import type { Claimed, Job } from '@stored/core'
import { compareKeys, StorageError } from '@stored/core/backend'
import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { MAX_DELAY_MS, type ModelJob, type ModelRunning, QueueModel } from './queue.model.ts'
import { collectPages, commit, idOf, type Ports, type Subject } from './subject.ts'

const START = 1_732_844_100_000
const YEAR = 365 * 24 * 60 * 60 * 1000
const LEASE_MS = 60_000
const BACKENDS = ['x', 'xy']
const KEYS = ['a', 'b']
const ERROR = new StorageError('TIMEOUT', { op: 'put' })

/** A queue, what it shall be, and the claims handed out so far, lost ones among them. */
interface Run {
  readonly subject: Subject
  readonly model: QueueModel
  readonly claims: Claimed[]
}

type Command = fc.AsyncCommand<QueueModel, Run>

/** Commands act on model and queue, then compare all that can be seen of the two. */
function command(text: string, act: (run: Run) => Promise<void>): Command {
  return {
    check: () => true,
    toString: () => text,
    run: async (_, run) => {
      await act(run)
      await compare(run)
    },
  }
}

const backend = fc.constantFrom(...BACKENDS)
const key = fc.constantFrom(...KEYS)
const index = fc.nat(7)

const commands = [
  fc.tuple(backend, key, fc.constantFrom('1', '2'), fc.nat(9)).map(([backend, key, text, size]) =>
    command(`enqueue ${backend}/${key} ${text} ${size}`, async ({ subject, model }) => {
      const job = { backend, key, id: idOf(text), size }
      await commit(subject, (tx) => subject.queue.enqueue(tx, { op: 'put', ...job }))
      model.enqueue(job, Date.now())
    }),
  ),
  fc.tuple(backend, fc.integer({ min: 1, max: 3 })).map(([backend, max]) =>
    command(`claim ${backend} ${max}`, async ({ subject, model, claims }) => {
      const claimed = await subject.queue.claim(backend, { max, leaseMs: LEASE_MS })
      const expected = model.claimable(backend, Date.now()).slice(0, max)
      const shown = ({ key, checkpoint }: Claimed | ModelJob) => [key, checkpoint]
      expect(claimed.map(shown)).toEqual(expected.map(shown))
      const times = { now: Date.now(), until: Date.now() + LEASE_MS }
      for (const [i, job] of expected.entries()) model.claimed(job, (claimed[i] as Claimed).lease, times)
      claims.push(...claimed)
    }),
  ),
  index.map((i) =>
    settle(`complete ${i}`, i, {
      act: ({ queue }, tx, job) => queue.complete(tx, job),
      model: (model, job) => model.complete(job),
    }),
  ),
  fc
    .tuple(
      index,
      fc.oneof(fc.nat(100), fc.constantFrom(MAX_DELAY_MS, YEAR)),
      fc.record({ free: fc.boolean(), anew: fc.boolean() }),
    )
    .map(([i, afterMs, how]) =>
      settle(`retry ${i} ${afterMs}${how.free ? ' free' : ''}${how.anew ? ' anew' : ''}`, i, {
        act: ({ queue }, tx, job) => queue.retry(tx, job, { error: ERROR, afterMs, ...how }),
        model: (model, job) => model.retry(job, Date.now() + Math.min(afterMs, MAX_DELAY_MS), how),
      }),
    ),
  fc.tuple(index, fc.constantFrom('1', '2')).map(([i, checkpoint]) =>
    hold(`keep checkpoint ${i} ${checkpoint}`, i, {
      act: ({ queue }, job) => queue.keepCheckpoint(job, checkpoint),
      model: (model, job) => model.keepCheckpoint(job, checkpoint),
    }),
  ),
  index.map((i) =>
    settle(`give back ${i}`, i, {
      act: ({ queue }, tx, job) => queue.giveBack(tx, job),
      model: (model, job) => model.giveBack(job),
    }),
  ),
  index.map((i) =>
    hold(`mark ${i}`, i, {
      act: ({ queue }, job) => queue.mark(job, LEASE_MS),
      model: (model, job) => model.mark(job, { now: Date.now(), until: Date.now() + LEASE_MS }),
    }),
  ),
  fc.tuple(index, fc.constantFrom(1, LEASE_MS)).map(([i, leaseMs]) =>
    hold(`renew ${i} ${leaseMs}`, i, {
      act: ({ queue }, job) => queue.renew(job, leaseMs),
      model: (model, job) => model.renew(job, { now: Date.now(), until: Date.now() + leaseMs }),
    }),
  ),
  index.map((i) =>
    settle(`park ${i}`, i, {
      act: ({ queue }, tx, job) => queue.park(tx, job, ERROR),
      model: (model, job) => model.park(job),
    }),
  ),
  fc.tuple(backend, key).map(([backend, key]) =>
    command(`unpark ${backend}/${key}`, async ({ subject, model }) => {
      await commit(subject, (tx) => subject.queue.unpark(tx, { backend, key }))
      model.unpark({ backend, key }, Date.now())
    }),
  ),
  fc.tuple(backend, key).map(([backend, key]) =>
    command(`drop ${backend}/${key}`, async ({ subject, model }) => {
      const dropping = commit(subject, (tx) => subject.queue.drop(tx, { backend, key }))
      if (!model.drop({ backend, key })) return expect(dropping).rejects.toMatchObject({ code: 'CONFLICT' })
      await dropping
    }),
  ),
  fc.constant(
    command('recover', async ({ subject, model }) => {
      expect(await subject.queue.recover()).toBe(model.recover(null))
    }),
  ),
  fc.constant(
    command('recover what is not leased', async ({ subject, model }) => {
      expect(await subject.queue.recover(Date.now())).toBe(model.recover(Date.now()))
    }),
  ),
  fc.tuple(backend, fc.boolean()).map(([backend, isPaused]) =>
    command(`${isPaused ? 'pause' : 'resume'} ${backend}`, async ({ subject, model }) => {
      await subject.queue[isPaused ? 'pause' : 'resume'](backend)
      if (isPaused) model.paused.add(backend)
      else model.resume(backend, Date.now())
    }),
  ),
  fc.oneof(fc.nat(80), fc.constantFrom(2 * LEASE_MS, MAX_DELAY_MS)).map((ms) =>
    command(`pass ${ms} ms`, async () => {
      vi.setSystemTime(Date.now() + ms)
    }),
  ),
  fc.constantFrom(-YEAR, -MAX_DELAY_MS, 0, YEAR).map((ms) =>
    command(`set the clock to the start and ${ms} ms`, async () => {
      vi.setSystemTime(START + ms)
    }),
  ),
]

/** Ends a claimed job, which must be refused when its lease is lost. */
function settle(
  text: string,
  i: number,
  how: {
    act(subject: Subject, tx: Parameters<Parameters<typeof commit>[1]>[0], job: Claimed): void
    model(model: QueueModel, job: Claimed): void
  },
): Command {
  return command(text, async ({ subject, model, claims }) => {
    const job = claims[i % (claims.length || 1)]
    if (!job) return
    const settling = commit(subject, (tx) => how.act(subject, tx, job))
    if (!model.isOurs(job)) return expect(settling).rejects.toMatchObject({ code: 'CONFLICT' })
    await settling
    how.model(model, job)
  })
}

/** Changes the lease of a claimed job, which must be refused when it is lost. */
function hold(
  text: string,
  i: number,
  how: { act(subject: Subject, job: Claimed): Promise<void>; model(model: QueueModel, job: Claimed): void },
): Command {
  return command(text, async ({ subject, model, claims }) => {
    const job = claims[i % (claims.length || 1)]
    if (!job) return
    const holding = how.act(subject, job)
    if (!model.isOurs(job)) return expect(holding).rejects.toMatchObject({ code: 'CONFLICT' })
    await holding
    how.model(model, job)
  })
}

async function compare({ subject: { queue }, model }: Run): Promise<void> {
  const jobs = await collectPages(queue.jobs({}))
  const expected = [...model.places.values()].flatMap((place) =>
    (['waiting', 'running', 'parked'] as const).flatMap((state) => (place[state] ? [{ ...place[state], state }] : [])),
  )
  expect(jobs.map(shownJob).sort(byText)).toEqual(expected.map(shownModelJob).sort(byText))
  checkInvariants(jobs)
  const counts = await queue.counts()
  for (const backend of BACKENDS) {
    expect(counts[backend] ?? { waiting: 0, running: 0, parked: 0, bytes: 0 }).toEqual(model.counts(backend))
    expect(await queue.nextDue(backend)).toBe(model.nextDue(backend, Date.now()))
    expect(await queue.isPaused(backend)).toBe(model.paused.has(backend))
    const begun = (key: string) => queue.ledger.look((view) => queue.begun(view, { backend, key }))
    for (const key of KEYS) expect(await begun(key)).toBe(model.begun({ backend, key }))
    await checkNothingIsStuck(queue, backend, jobs)
  }
}

function shownJob(job: Job) {
  const { op: _, seq: __, error, crashes = 0, begun, ...shown } = job
  return { ...shown, crashes, begun: begun === true, isFailed: error !== undefined }
}

function shownModelJob(job: ModelJob & { state: Job['state'] } & Partial<ModelRunning>) {
  const { lease: _, until: __, isMarked: ___, since: ____, renewed: _____, ...rest } = job
  const { queued: ______, checkpoint: _______, ...shown } = rest
  return shown
}

function byText(a: object, b: object): number {
  const [left, right] = [a, b].map((one) => JSON.stringify(one, Object.keys(one).sort())) as [string, string]
  return compareKeys(left, right)
}

/** Said without the model as well: whatever the clock did, a job that waits is looked at within an hour. */
async function checkNothingIsStuck(queue: Subject['queue'], backend: string, jobs: readonly Job[]): Promise<void> {
  const running = new Set(
    jobs.filter(({ state }) => state === 'running').map(({ key, backend }) => `${backend}/${key}`),
  )
  const ready = jobs.filter(
    (job) => job.state === 'waiting' && job.backend === backend && !running.has(`${backend}/${job.key}`),
  )
  if (ready.length === 0 || (await queue.isPaused(backend))) return
  const next = await queue.nextDue(backend)
  expect(next).not.toBeNull()
  expect(next as number).toBeLessThanOrEqual(Date.now() + MAX_DELAY_MS)
}

/** Said without the model, which might have the same fault. */
function checkInvariants(jobs: readonly Job[]): void {
  const places = Map.groupBy(jobs, ({ backend, key }) => `${backend}/${key}`)
  for (const ofPlace of places.values()) {
    const states = ofPlace.map(({ state }) => state).sort()
    expect([['waiting'], ['parked'], ['running'], ['running', 'waiting']]).toContainEqual(states)
  }
}

export function queueProperties({ open }: Ports): void {
  describe('the queue, whatever happens to it', () => {
    test('holds what its model holds: one job waiting or parked and one running for a place, and counts that add up', async () => {
      vi.useFakeTimers({ toFake: ['Date'], now: START })
      try {
        await fc.assert(
          fc.asyncProperty(fc.commands(commands, { maxCommands: 80, size: '+1' }), async (steps) => {
            vi.setSystemTime(START)
            const subject = await open()
            const model = new QueueModel()
            try {
              await fc.asyncModelRun(() => ({ model, real: { subject, model, claims: [] } }), steps)
            } finally {
              await subject.close()
            }
          }),
          { numRuns: 100 },
        )
      } finally {
        vi.useRealTimers()
      }
    })
  })
}
