import { createHash } from 'node:crypto'
import { owes } from './index-rules.ts'
import { keyOf, type LocationRow, type PlaceName, type StoreRows } from './rows.ts'
import type { Rule } from './rule.ts'

/** The contents of the staging directory: the size of each file, by name. */
export interface StagedFiles {
  readonly sizes: ReadonlyMap<string, number>
  /** Whether nothing is being received and all debris was swept: then every file is named by a row. */
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
    *check({ staged, packs, files }) {
      for (const [id, row] of staged) {
        if ('file' in row) {
          if (!files.has(row.file)) yield `${id}: no row says that ${row.file} is kept, and a sweep removes it`
          continue
        }
        const pack = packs.get(row.pack)
        const value = pack?.bytes.subarray(row.offset, row.offset + row.size)
        if (value === undefined) yield `${id}: there is no pack ${row.pack}`
        else if (digestOf(value) !== id) yield `${id}: they are those of ${digestOf(value)}`
        else if (!pack?.pieces.some((piece) => piece.id === id && piece.offset === row.offset))
          yield `${id}: pack ${row.pack} does not name it, and who rewrites the pack loses it`
      }
    },
  },
  {
    name: 'no bytes are kept without a row that leads to them',
    why: 'nothing would ever remove them',
    *check({ staged, packs, livePacks, files }) {
      const live = new Map<number, [bytes: number, pieces: number]>()
      for (const row of staged.values())
        if ('pack' in row) {
          const [bytes, pieces] = live.get(row.pack) ?? [0, 0]
          live.set(row.pack, [bytes + row.size, pieces + 1])
        }
      for (const number of new Set([...packs.keys(), ...livePacks.keys()])) {
        const [bytes, pieces] = live.get(number) ?? [0, 0]
        const expected = `${packs.get(number)?.bytes.length},${bytes},${pieces}`
        if (`${livePacks.get(number)}` !== expected || pieces === 0)
          yield `pack ${number} has ${expected}, and its row says ${livePacks.get(number)}`
      }
      const led = new Set([...staged.values()].map((row) => ('file' in row ? row.file : '')))
      for (const file of files) if (!led.has(file)) yield file
    },
  },
  {
    name: 'a pack of which less than a quarter is live is known by a row, and no other',
    why: 'it is found by it, to be rewritten',
    *check({ livePacks, sparsePacks }) {
      for (const [number, [size = 0, live = 0]] of livePacks)
        if (live < size / 4 !== sparsePacks.has(number)) yield `pack ${number}: ${live} of ${size} bytes are live`
      for (const number of sparsePacks) if (!livePacks.has(number)) yield `pack ${number} is not there`
    },
  },
  {
    name: 'a file that was swept is not kept',
    why: 'it is gone, whatever a process that was taken for dead still commits',
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
      // A deletion gives up what belongs to it, and until then may owe what is gone.
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
    why: 'readers see it, and it bounds staging',
    *check({ staged, facts }) {
      for (const [id, { size }] of staged)
        if (facts.has(id) && facts.get(id)?.size !== size) yield `${id}: ${size} of ${facts.get(id)?.size} bytes`
    },
  },
  {
    name: 'a mark and its row by age',
    why: 'these rows order what may leave first; a dangling one stays in front forever',
    *check({ marks, markRows }) {
      const found = new Set(markRows.map(({ at, id }) => `${at} ${id}`))
      for (const [id, at] of marks) if (!found.has(`${at} ${id}`)) yield `${id} at ${at} has none`
      for (const { at, id } of markRows) if (marks.get(id) !== at) yield `${id} at ${at} leads to no mark`
    },
  },
  {
    name: 'what is marked is owed',
    why: 'a mark goes with its subject: others would be examined again and again',
    *check(rows) {
      const owed = owedIds(rows)
      for (const id of rows.marks.keys()) if (!owed.has(id)) yield id
    },
  },
  {
    name: 'the total is what is staged',
    why: 'it decides which puts are admitted',
    *check({ staged, stagedTotal, packs, packedTotal }) {
      const inFiles = [...staged.values()].reduce((sum, row) => sum + ('file' in row ? row.size : 0), 0)
      const [told = 0, count = 0] = stagedTotal
      if (told !== inFiles || count !== staged.size)
        yield `${told} bytes of ${count} blobs, and there are ${inFiles} of ${staged.size}`
      const packed = [...packs.values()].reduce((sum, { bytes }) => sum + bytes.length, 0)
      if (packedTotal !== packed) yield `${packedTotal} bytes in packs, and there are ${packed}`
    },
  },
]

function filesRule({ sizes, isStill }: StagedFiles): Rule {
  return {
    name: 'a staged file and its row',
    why: 'a missing file was the only copy; one that no row names wastes disk space',
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

/**
 * By a copy that does not go with a key that the place outlives. One found bad after it was relied upon is not the
 * rows' fault.
 */
function isCovered({ locations }: StoreRows, place: PlaceName, { id, shared }: LocationRow): boolean {
  for (const [other, copy] of locations)
    if (copy.id === id && (copy.state === 'synced' || DAMAGED.has(copy.state)))
      if (copy.shared || (!shared && keyOf(other) === keyOf(place))) return true
  return false
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}
