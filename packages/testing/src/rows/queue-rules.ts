import { owes } from './index-rules.ts'
import { backendOf, type JobRow, type LocationRow, type PlaceName, type StoreRows } from './rows.ts'
import type { Rule } from './rule.ts'

const ONLY_RUNNING = ['lease', 'until', 'marked', 'since', 'renewed'] as const

export const queueRules: readonly Rule[] = [
  {
    name: 'a parked job is the work of its place',
    why: 'a retry would write something unwanted',
    *check({ parked, locations }) {
      for (const [place, job] of parked)
        if (!isWorkOf(job, locations.get(place)))
          yield `${place}: ${job.op} of ${job.id}, ${told(locations.get(place))}`
    },
  },
  {
    name: 'a job that waits is the work of its place, or was done by the one before it',
    why: 'a job for another blob writes the wrong bytes, and one that was given up writes unwanted ones',
    *check({ waiting, locations }) {
      for (const [place, job] of waiting) {
        const location = locations.get(place)
        const isDone = job.op === 'put' ? location?.id === job.id && location.state !== 'deleting' : !location
        if (!isDone && !isWorkOf(job, location)) yield `${place}: ${job.op} of ${job.id}, ${told(location)}`
      }
    },
  },
  {
    name: 'a place that is owed or being cleaned has a job',
    why: 'without one the copy is never made, or the removal never happens',
    *check(rows) {
      for (const [place, location] of rows.locations)
        if (
          (owes(location) || location.state === 'deleting') &&
          !jobsAt(rows, place).some((job) => isWorkOf(job, location))
        )
          yield `${place}: ${told(location)}`
    },
  },
  {
    name: 'a place is pending while its job is to be done',
    why: 'nothing tries a parked job: its place must say so, with the error',
    *check({ parked, locations }) {
      for (const place of parked.keys())
        if (locations.get(place)?.state === 'pending') yield `${place} is pending, and its job is parked`
    },
  },
  {
    name: 'a job that may be writing has a place',
    why: 'what it leaves must be known, or nothing removes it',
    *check({ running, locations }) {
      for (const [place, { op, id }] of running) if (op === 'put' && !locations.has(place)) yield `${place}: of ${id}`
    },
  },
  {
    name: 'a parked job stands alone',
    why: 'a newer one replaces it: two would both settle one copy',
    *check({ parked, waiting, running }) {
      for (const place of parked.keys()) {
        if (waiting.has(place)) yield `${place} waits too`
        if (running.has(place)) yield `${place} runs too`
      }
    },
  },
  {
    name: 'only a running job has a lease, and it has one',
    why: 'it tells a worker that it has lost its job',
    *check({ running, waiting, parked }) {
      for (const [place, { lease, until }] of running)
        if (lease === undefined || until === undefined) yield `${place} runs without one`
      for (const [place, job] of [...waiting, ...parked])
        for (const field of ONLY_RUNNING) if (job[field] !== undefined) yield `${place} does not run, and has ${field}`
    },
  },
  {
    name: 'a job that may be claimed, and its row in due',
    why: 'claim() finds jobs by these rows: without one a job never runs, with one too many it runs twice at a time',
    *check({ waiting, running, parked, due }) {
      const found = new Set(due.map(({ place, due: time, seq }) => `${place} ${time} ${seq}`))
      if (found.size !== due.length) yield `${due.length - found.size} rows are there twice`
      const expected = new Set([
        ...[...waiting].filter(([place]) => !running.has(place)).map(([place, job]) => dueOf(place, job)),
        ...[...parked].filter(([, { rest }]) => rest !== undefined).map(([place, job]) => dueOf(place, job)),
      ])
      for (const row of expected) if (!found.has(row)) yield `${row} is missing`
      for (const row of found) if (!expected.has(row)) yield `${row} leads to no job`
    },
  },
  {
    name: 'a job that waits or runs, and its row in owed',
    why: 'the first of these rows is the oldest job of a backend, and jobs() walks them',
    *check({ waiting, running, owed }) {
      const expected = new Set(
        [...waiting, ...running].map(([place, { seq, created }]) => `${place} ${seq} ${created}`),
      )
      const found = new Set(owed.map(({ place, seq, created }) => `${place} ${seq} ${created}`))
      for (const row of expected) if (!found.has(row)) yield `${row} is missing`
      for (const row of found) if (!expected.has(row)) yield `${row} leads to no job`
      if (waiting.size + running.size !== owed.length) yield `${owed.length} rows`
    },
  },
  {
    name: 'counts are what is there',
    why: 'removeBackend() depends on them, and synced() and status() report them',
    *check({ counts, waiting, running, parked }) {
      const expected = new Map<string, number[]>()
      for (const [i, jobs] of [waiting, running, parked].entries())
        for (const [place, { size }] of jobs) {
          const counted = expected.get(backendOf(place)) ?? [0, 0, 0, 0]
          counted[i] = (counted[i] as number) + 1
          counted[3] = (counted[3] as number) + size
          expected.set(backendOf(place), counted)
        }
      for (const backend of new Set([...counts.keys(), ...expected.keys()])) {
        const [told, there] = [counts, expected].map((numbers) => String(numbers.get(backend) ?? [0, 0, 0, 0]))
        if (told !== there) yield `${backend} counts ${told}, and has ${there}`
      }
    },
  },
  {
    name: 'the size of a job is that of its blob',
    why: 'it counts the bytes that still have to be moved',
    *check({ waiting, running, parked, facts }) {
      for (const [place, { op, id, size }] of [...waiting, ...running, ...parked]) {
        const expected = op === 'delete' ? 0 : facts.get(id)?.size
        if (expected !== undefined && size !== expected) yield `${place}: ${size} of ${expected} bytes`
      }
    },
  },
  {
    name: 'attempts are counted before they begin',
    why: 'a job that always kills its process must end',
    *check({ running, waiting, parked }) {
      for (const [place, { attempts }] of running)
        if (attempts < 1) yield `${place} runs and has tried ${attempts} times`
      for (const [place, { attempts }] of [...waiting, ...parked])
        if (attempts < 0) yield `${place} tried ${attempts} times`
    },
  },
]

function jobsAt({ waiting, running, parked }: StoreRows, place: PlaceName): JobRow[] {
  return [waiting, running, parked].flatMap((jobs) => jobs.get(place) ?? [])
}

function isWorkOf({ op, id }: JobRow, location: LocationRow | undefined): boolean {
  if (!location || location.id !== id) return false
  return op === 'delete' ? location.state === 'deleting' : owes(location)
}

function dueOf(place: PlaceName, { due, seq }: JobRow): string {
  return `${place} ${due} ${seq}`
}

function told(location: LocationRow | undefined): string {
  return location ? `the place is ${location.state} for ${location.id}` : 'there is no such place'
}
