import type { Claimed, Job } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { QueueModel } from './queue.model.ts'
import { collect, commit, idOf, type Ports, type Subject } from './subject.ts'

const BACKENDS = ['x', 'xy']
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
const key = fc.constantFrom('a', 'b')
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
      const claimed = await subject.queue.claim(backend, { max, leaseMs: 1000 })
      const expected = model.claimable(backend, Date.now()).slice(0, max)
      expect(claimed.map(({ key }) => key)).toEqual(expected.map(({ key }) => key))
      for (const [i, job] of expected.entries()) model.claimed(job, (claimed[i] as Claimed).lease)
      claims.push(...claimed)
    }),
  ),
  index.map((i) =>
    settle(`complete ${i}`, i, {
      act: ({ queue }, tx, job) => queue.complete(tx, job),
      model: (model, job) => model.complete(job),
    }),
  ),
  fc.tuple(index, fc.nat(100)).map(([i, afterMs]) =>
    settle(`retry ${i} ${afterMs}`, i, {
      act: ({ queue }, tx, job) => queue.retry(tx, job, { error: ERROR, afterMs }),
      model: (model, job) => model.retry(job, Date.now() + afterMs),
    }),
  ),
  index.map((i) =>
    settle(`park ${i}`, i, {
      act: ({ queue }, tx, job) => queue.park(tx, job, ERROR),
      model: (model, job) => model.park(job),
    }),
  ),
  backend.map((backend) =>
    command(`unpark ${backend}`, async ({ subject, model }) => {
      expect(await subject.queue.unpark({ backend })).toBe(model.unpark(backend, Date.now()))
    }),
  ),
  fc.constant(
    command('recover', async ({ subject, model }) => {
      expect(await subject.queue.recover()).toBe(model.recover())
    }),
  ),
  fc.nat(80).map((ms) =>
    command(`pass ${ms} ms`, async () => {
      vi.setSystemTime(Date.now() + ms)
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

async function compare({ subject: { queue }, model }: Run): Promise<void> {
  const jobs = await collect(queue.jobs({}))
  const expected = [...model.places.values()].flatMap((place) =>
    (['waiting', 'running', 'parked'] as const).flatMap((state) => (place[state] ? [{ ...place[state], state }] : [])),
  )
  const show = ({ backend, key, state, id, size, attempts, due }: Omit<Job, 'op' | 'created'>) =>
    `${backend}/${key} ${state} ${id} ${size} ${attempts} ${due}`
  expect(jobs.map(show).sort()).toEqual(expected.map(show).sort())
  checkInvariants(jobs)
  const counts = await queue.counts()
  for (const backend of BACKENDS) {
    expect(counts[backend] ?? { waiting: 0, running: 0, parked: 0, bytes: 0 }).toEqual(model.counts(backend))
    expect(await queue.nextDue(backend)).toBe(model.ready(backend)[0]?.due ?? null)
  }
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
      vi.useFakeTimers({ toFake: ['Date'], now: 1_732_844_100_000 })
      try {
        await fc.assert(
          fc.asyncProperty(fc.commands(commands, { maxCommands: 60, size: '+1' }), async (steps) => {
            const subject = await open()
            const model = new QueueModel()
            try {
              await fc.asyncModelRun(() => ({ model, real: { subject, model, claims: [] } }), steps)
            } finally {
              await subject.close()
            }
          }),
          { numRuns: 60 },
        )
      } finally {
        vi.useRealTimers()
      }
    })
  })
}
