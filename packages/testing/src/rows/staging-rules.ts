import { createHash } from 'node:crypto'
import { owes } from './index-rules.ts'
import { keyOf, type LocationRow, type PlaceName, type StoreRows } from './rows.ts'
import type { Rule } from './rule.ts'

/** What lies in the staging directory: the size of each file, by name. */
export interface StagedFiles {
  readonly sizes: ReadonlyMap<string, number>
  /** Whether nobody is receiving anything and all debris was swept: then there is no file that no row names. */
  readonly isStill: boolean
}

const DAMAGED: ReadonlySet<string> = new Set(['missing', 'corrupt', 'unknown'])

export function stagingRules(files?: StagedFiles): readonly Rule[] {
  return files ? [...ROWS, filesRule(files)] : ROWS
}

const ROWS: readonly Rule[] = [
  {
    name: 'staged bytes are where their row says',
    why: 'they may be the only copy',
    *check({ staged, bytes, files }) {
      const kept = new Map(bytes.map(({ commit, id, value }) => [`${commit} ${id}`, value]))
      for (const [id, row] of staged) {
        if ('file' in row) {
          if (!files.has(row.file)) yield `${id}: no row says that ${row.file} is kept, and a sweep removes it`
          continue
        }
        const value = kept.get(`${row.commit} ${id}`)
        if (value === undefined) yield `${id}: there are none at ${row.commit}`
        else if (value.length !== row.size) yield `${id}: ${value.length} of ${row.size} bytes`
        else if (digestOf(value) !== id) yield `${id}: they are those of ${digestOf(value)}`
      }
    },
  },
  {
    name: 'no bytes are kept without a row that leads to them',
    why: 'nothing would ever remove them',
    *check({ staged, bytes, files }) {
      const led = new Set([...staged].map(([id, row]) => ('file' in row ? row.file : `${row.commit} ${id}`)))
      for (const { commit, id } of bytes) if (!led.has(`${commit} ${id}`)) yield `${id} at ${commit}`
      for (const file of files) if (!led.has(file)) yield file
    },
  },
  {
    name: 'a file that was swept is not kept',
    why: 'it is gone, whatever a process that was taken for dead goes on to commit',
    *check({ files, swept }) {
      for (const file of swept) if (files.has(file)) yield file
    },
  },
  {
    name: 'what is staged is owed',
    why: 'staging is bounded: bytes that nothing releases fill it',
    *check(rows) {
      const owed = owedIds(rows)
      for (const id of rows.staged.keys()) if (!owed.has(id)) yield id
    },
  },
  {
    name: 'what is owed can be read',
    why: 'its only bytes were dropped: the copy can never be made',
    *check(rows) {
      // What goes with a deletion is given up by it, and until then may owe what is gone.
      for (const [place, location] of rows.locations)
        if (
          owes(location) &&
          !rows.staged.has(location.id) &&
          !rows.isDeleted(keyOf(place)) &&
          !isCovered(rows, place, location)
        )
          yield `${place} owes ${location.id}, and no copy that lasts as long is left`
    },
  },
  {
    name: 'the size of what is staged is that of its blob',
    why: 'readers are told it, and staging is bounded by it',
    *check({ staged, facts }) {
      for (const [id, { size }] of staged)
        if (facts.has(id) && facts.get(id)?.size !== size) yield `${id}: ${size} of ${facts.get(id)?.size} bytes`
    },
  },
  {
    name: 'a mark and its row by age',
    why: 'what may leave first is found by these rows; one that leads nowhere stays in front for good',
    *check({ marks, markRows }) {
      const found = new Set(markRows.map(({ commit, id }) => `${commit} ${id}`))
      for (const [id, commit] of marks) if (!found.has(`${commit} ${id}`)) yield `${id} at ${commit} has none`
      for (const { commit, id } of markRows) if (marks.get(id) !== commit) yield `${id} at ${commit} leads to no mark`
    },
  },
  {
    name: 'what is marked is owed',
    why: 'a mark goes with what it is about: others would be looked at again and again',
    *check(rows) {
      const owed = owedIds(rows)
      for (const id of rows.marks.keys()) if (!owed.has(id)) yield id
    },
  },
  {
    name: 'the total is what is staged',
    why: 'puts are admitted and refused by it',
    *check({ staged, stagedTotal }) {
      const bytes = [...staged.values()].reduce((sum, { size }) => sum + size, 0)
      const [told = 0, count = 0] = stagedTotal
      if (told !== bytes || count !== staged.size)
        yield `${told} bytes of ${count} blobs, and there are ${bytes} of ${staged.size}`
    },
  },
]

function filesRule({ sizes, isStill }: StagedFiles): Rule {
  return {
    name: 'a staged file and its row',
    why: 'a file that is gone was the only copy; one that no row names takes the disk’s room',
    *check({ staged, files }) {
      for (const [id, row] of staged)
        if ('file' in row && sizes.get(row.file) !== row.size)
          yield `${id}: ${row.file} has ${sizes.get(row.file)} of ${row.size} bytes`
      if (!isStill) return
      for (const name of sizes.keys()) if (!files.has(name)) yield `${name} is nobody’s`
    },
  }
}

function owedIds({ locations }: StoreRows): Set<string> {
  return new Set([...locations.values()].filter(owes).map(({ id }) => id))
}

/** By a copy that goes with no key that the place outlives. One that was found bad since it was relied upon is no fault of the rows. */
function isCovered({ locations }: StoreRows, place: PlaceName, { id, shared }: LocationRow): boolean {
  for (const [other, copy] of locations)
    if (copy.id === id && (copy.state === 'synced' || DAMAGED.has(copy.state)))
      if (copy.shared || (!shared && keyOf(other) === keyOf(place))) return true
  return false
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}
