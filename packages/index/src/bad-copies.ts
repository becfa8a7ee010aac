import type { BadState, Location, LocationState, Place, View } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import {
  after,
  decodeRow,
  encodeRow,
  type Reader,
  readerOf,
  type TreeLedger,
  type Writer,
  writerOf,
} from '@stored/ledger'

/** Rows that are looked at, or marked, in one go. */
const BATCH = 500
const NOTHING = Buffer.alloc(0)
/** Says since when not all bad places are marked; absent while all are. */
const COMPLETE = Buffer.from('bad-copies')
const BAD: ReadonlySet<string> = new Set<BadState>(['failed', 'conflict', 'missing', 'corrupt', 'unknown'])

/**
 * Marks of the places whose copy is bad, so that these are counted without a look at all others: in the tree `meta`, by
 * `bad NUL backend NUL state NUL key`. A mark is written and removed with the row of its place, so it cannot drift; healthy places
 * cost nothing.
 */
export class BadCopies {
  readonly #ledger: TreeLedger

  constructor(ledger: TreeLedger) {
    this.#ledger = ledger
  }

  /** Moves the mark of a place. @param to `undefined`: the place is gone. */
  move(writer: Writer, place: Place, from: LocationState | undefined, to: LocationState | undefined): void {
    if (from !== undefined && from !== to && BAD.has(from)) writer.remove('meta', markOf(place, from))
    // Also where it stands as before: it may be one that is not marked yet.
    if (to !== undefined && BAD.has(to)) writer.put('meta', markOf(place, to), NOTHING)
  }

  keys(reader: Reader, { backend, state, limit }: { backend: string; state: BadState; limit: number }): string[] {
    const first = markOf({ backend, key: '' }, state)
    const rows = reader.range('meta', { from: first, to: after(first), limit })
    return rows.map(([key]) => key.toString('utf8', first.length))
  }

  /** Copies have become bad that are not marked. */
  beIncomplete(writer: Writer): void {
    writer.put('meta', COMPLETE, encodeRow(String(writer.ticket), writer.ticket))
  }

  /**
   * Marks what has become bad without a mark, if there may be any. Other processes may work on the store in the meantime. Where there is no
   * room for it, it is left to the next call.
   *
   * @param places Those that may be bad.
   */
  async complete(
    places: () => AsyncIterable<Place>,
    locationOn: (view: View, place: Place) => Location | null,
  ): Promise<void> {
    try {
      for (;;) {
        const since = await this.#ledger.look(sinceWhen)
        if (since === null) return
        await this.#mark(places(), locationOn)
        await this.#ledger.transact((tx) => {
          // If more became bad behind the walk, it begins again.
          if (sinceWhen(tx) === since) writerOf(tx).remove('meta', COMPLETE)
        })
      }
    } catch (error) {
      if (!StorageError.is(error) || error.code !== 'NO_SPACE') throw error
    }
  }

  async #mark(places: AsyncIterable<Place>, locationOn: (view: View, place: Place) => Location | null): Promise<void> {
    let batch: Place[] = []
    const flush = async () => {
      const marked = batch
      batch = []
      await this.#ledger.transact((tx) => {
        for (const place of marked)
          this.move(
            writerOf(tx),
            place,
            undefined,
            stateOf(() => locationOn(tx, place)),
          )
      })
    }
    for await (const place of places) if (batch.push(place) === BATCH) await flush()
    await flush()
  }
}

/** A row that cannot be read fails whoever asks for that place, not the opening of the store. */
function stateOf(location: () => Location | null): LocationState | undefined {
  try {
    return location()?.state
  } catch (error) {
    if (StorageError.is(error) && (error.code === 'CORRUPT' || error.code === 'INCOMPATIBLE')) return undefined
    throw error
  }
}

/** Since when marks are missing; `null`: none is. */
function sinceWhen(view: View): string | null {
  return readerOf(view).get('meta', COMPLETE, decodeRow<string>)?.value ?? null
}

/** Neither a backend's name nor a state nor a key holds a NUL. */
function markOf({ backend, key }: Place, state: LocationState): Buffer {
  return Buffer.from(`bad\0${backend}\0${state}\0${key}`)
}
