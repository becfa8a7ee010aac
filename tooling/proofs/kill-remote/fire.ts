import { writeFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import type { Random } from '@stored/kill/random'
import type { Failed, Work } from './protocol.ts'
import type { Daemon, Mark, Server } from './server.ts'
import { Syncer } from './syncers.ts'

/** What is killed: the process that syncs, or one of the server. */
export type Target = 'syncer' | Daemon

/** A job that was begun three times and never ended passes for poison and is parked: no more than two kills in a row. */
const MOST_KILLS = 2
/** How long after its byte a kill comes, at most: uploads are completed in that time. */
const WITHIN_MS = 50

/** A moment to kill at. */
export interface Shot {
  /** So many bytes were sent. */
  readonly bytes: number
  /** After that. */
  readonly waitMs: number
}

export interface Fire {
  readonly server: Server
  readonly target: Target
  readonly shots: readonly Shot[]
  readonly work: Work
  /** Where the work is written down for the process that does it. */
  readonly file: string
}

/** What is told of it meanwhile. */
export interface Watcher {
  onStep(step: string): void
  /** Begins with this process to sync, which goes on with what the one before was killed over. */
  onSyncer(syncer: Syncer): void
  onFailed(failed: Failed): void
}

/** What happened between two kills, or after the last. */
export interface Stretch {
  /** In bytes, since the round began: what was sent when it ended. */
  readonly until: number
  /** Bytes that were sent, and those that were there afterwards and not before. */
  readonly sent: number
  readonly arrived: number
  readonly isCut: boolean
}

/** When to kill in a round that sends `total` bytes. One in four falls where the last uploads are completed. */
export function plan(random: Random, total: number, part: number): Shot[] {
  const moments = Array.from({ length: 1 + random.below(MOST_KILLS) }, () =>
    random.below(4) === 0 ? total - random.below(part) : random.below(total),
  )
  return moments.sort((a, b) => a - b).map((bytes) => ({ bytes, waitMs: random.below(WITHIN_MS) }))
}

/**
 * Syncs a store, and kills `target` now and then.
 *
 * @throws when the process that syncs fails.
 */
export async function syncUnderFire(
  { server, target, shots, work, file }: Fire,
  { onStep, onSyncer, onFailed }: Watcher,
): Promise<Stretch[]> {
  writeFileSync(file, JSON.stringify(work), { mode: 0o600 })
  const stretches: Stretch[] = []
  const start = await server.mark()
  let last = start
  const cut = (mark: Mark, isCut: boolean): void => {
    const [sent, arrived] = [mark.sent - last.sent, mark.arrived - last.arrived]
    stretches.push({ until: mark.sent - start.sent, sent, arrived, isCut })
    last = mark
  }
  const begin = (): Syncer => {
    const syncer = new Syncer(file, onFailed)
    onSyncer(syncer)
    onStep('syncing')
    return syncer
  }
  let syncer = begin()
  try {
    for (const { bytes, waitMs } of shots) {
      while (server.sent - start.sent < bytes && !syncer.isOver) await setTimeout(5)
      await setTimeout(waitMs)
      // Too late: everything is synced.
      if (syncer.isOver) break
      onStep(`killing the ${target}`)
      if (target !== 'syncer') cut(await server.kill(target), true)
      else if (await syncer.kill()) {
        cut(await server.mark(), true)
        syncer = begin()
      } else break
      onStep('syncing after a kill')
    }
    await syncer.synced()
    cut(await server.mark(), false)
    return stretches
  } finally {
    await syncer.kill()
  }
}
