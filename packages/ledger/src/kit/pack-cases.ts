import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import type { View } from '@stored/core'
import { readerOf, type TreeLedger, writerOf } from '../ledger.ts'
import { packedBytes, piecesOf, sparsePacks } from '../packs.ts'
import { append, appended, discard, filled, placeOf } from './rows.ts'
import type { LedgerCase } from './run-case.ts'

const KIB = 1024
const packed = (ledger: TreeLedger) => ledger.look((view) => packedBytes(readerOf(view)))
const sparse = (ledger: TreeLedger) => ledger.look((view) => sparsePacks(readerOf(view), { limit: 10 }))
const names = (count: number) => Array.from({ length: count }, (_, i) => `piece ${i}`)

/** What holds of bytes that plans append. */
export const PACK_CASES: readonly LedgerCase[] = [
  {
    id: 'packs.read',
    title: 'what plans of one moment append is read whole by the plan itself, by those behind it, and by looks',
    why: 'Small blobs lie there: at another place they are the bytes of somebody else.',
    async run(ledger) {
      const sizes = new Map(names(60).map((name, i) => [name, [0, 1, 700, 4096, 66_000][i % 5] as number]))
      const read = (view: View, name: string) => appended(view, name) === filled(name, sizes.get(name) ?? 0).toString()
      const before: string[] = []
      const done = await Promise.all(
        [...sizes].map(([name, size]) => {
          const former = before.at(-1)
          before.push(name)
          return ledger.transact((tx) => {
            append(tx, `before ${name}`, 300)
            append(tx, name, size)
            return read(tx, name) && (former === undefined || read(tx, former))
          })
        }),
      )
      deepEqual(
        done.map(({ value }) => value),
        done.map(() => true),
      )
      for (const name of sizes.keys()) ok(await ledger.look((view) => read(view, name)), name)
    },
  },
  {
    id: 'packs.bounded',
    title: 'no pack holds more than 256 KiB or 500 pieces, but a piece that is larger by itself',
    why: 'Whoever reads a piece may have to copy its pack; whoever rewrites one does so in one plan.',
    async run(ledger) {
      const { value } = await ledger.transact((tx) => [
        ...names(1200).map((name) => append(tx, name, 10)),
        ...names(30).map((name) => append(tx, `large ${name}`, 50 * KIB)),
        append(tx, 'largest', 400 * KIB),
      ])
      const packs = Map.groupBy(value, ({ pack }) => pack)
      for (const pieces of packs.values()) {
        const bytes = pieces.reduce((sum, { length }) => sum + length, 0)
        ok(pieces.length === 1 || (pieces.length <= 500 && bytes <= 256 * KIB), `${pieces.length} of ${bytes} bytes`)
      }
      equal(await packed(ledger), 1200 * 10 + 30 * 50 * KIB + 400 * KIB)
    },
  },
  {
    id: 'packs.refused',
    title: 'a plan that throws leaves nothing of what it appended or discarded',
    why: 'The bytes of a put that was refused would be kept for good; those of a deletion that was refused would be gone.',
    async run(ledger) {
      await ledger.transact((tx) => void append(tx, 'kept', 100))
      const refused = ledger.transact((tx) => {
        append(tx, 'refused', 1000)
        discard(tx, 'kept')
        throw new Error('no')
      })
      const other = ledger.transact((tx) => void append(tx, 'other', 10))
      await rejects(refused, /no/)
      await other
      equal(await packed(ledger), 110)
      for (const [name, size] of [['kept', 100] as const, ['other', 10] as const])
        equal(await ledger.look((view) => appended(view, name)), filled(name, size).toString())
    },
  },
  {
    id: 'packs.discard',
    title: 'a pack stays until its last piece is discarded, and goes with it',
    why: 'Staging is bounded by the packs that there are; a pack that goes too early takes the only bytes of other blobs.',
    async run(ledger) {
      await ledger.transact((tx) => {
        for (const name of names(4)) append(tx, name, 1000)
      })
      const place = await ledger.look((view) => placeOf(view, 'piece 3'))
      for (const name of names(3)) await ledger.transact((tx) => discard(tx, name))
      equal(await ledger.look((view) => appended(view, 'piece 3')), filled('piece 3', 1000).toString())
      equal(await packed(ledger), 4000)
      await ledger.transact((tx) => discard(tx, 'piece 3'))
      equal(await packed(ledger), 0)
      equal(place && (await ledger.look((view) => readerOf(view).piece(place, String))), undefined)
    },
  },
  {
    id: 'packs.discard-own',
    title: 'what a plan appends and discards, and what another of that moment discards, is not kept',
    why: 'A blob that is put and deleted in one moment would take room for good.',
    async run(ledger) {
      await Promise.all([
        ledger.transact((tx) => {
          append(tx, 'own', 1000)
          discard(tx, 'own')
        }),
        ledger.transact((tx) => void append(tx, 'by another', 1000)),
        ledger.transact((tx) => discard(tx, 'by another')),
      ])
      equal(await packed(ledger), 0)
      deepEqual(await sparse(ledger), [])
    },
  },
  {
    id: 'packs.sparse',
    title:
      'a pack of which less than a quarter is live is named, with all pieces and their owners; moved, they let it go',
    why: 'A few blobs that nobody takes keep the room of thousands.',
    async run(ledger) {
      const { value } = await ledger.transact((tx) => names(8).map((name) => append(tx, name, 1000)))
      await ledger.transact((tx) => {
        for (const name of names(6)) discard(tx, name)
      })
      deepEqual(await sparse(ledger), [])
      await ledger.transact((tx) => discard(tx, 'piece 6'))
      const [pack] = await sparse(ledger)
      equal(pack, value[0]?.pack)
      const moved = await ledger.transact((tx) => {
        const found = piecesOf(writerOf(tx), pack as number)
        for (const { owner, piece } of found)
          if (placeOf(tx, `${owner}`)?.offset === piece.offset) {
            writerOf(tx).discard(piece)
            append(tx, `${owner}`, piece.length)
          }
        return found
      })
      deepEqual(
        moved.value.map(({ owner, piece }) => [`${owner}`, piece]),
        value.map((piece, i) => [`piece ${i}`, piece]),
      )
      equal(await ledger.look((view) => appended(view, 'piece 7')), filled('piece 7', 1000).toString())
      deepEqual([await packed(ledger), await sparse(ledger)], [1000, []])
    },
  },
]
