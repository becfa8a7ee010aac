import { writeFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import type { Random } from '@stored/kill/random'
import type { Failed, Work } from './protocol.ts'
import type { Daemon, Mark, Server } from './server.ts'
import { Syncer } from './syncers.ts'

/** What is killed: the process that syncs, or one of the server. */
export type Target = 'syncer' | Daemon

/**
 * A job that was started three times and never ended counts as poison and is parked: no more than two kills in a row.
 */
const MOST_KILLS = 2
/** The most time between its byte and a kill: uploads are completed in that time. */
const WITHIN_MS = 50

/** When to kill. */
export interface Shot {
  /** After this many bytes were sent. */
  readonly bytes: number
  /** And then this long. */
  readonly waitMs: number
}

export interface Fire {
  readonly server: Server
  readonly target: Target
  readonly shots: readonly Shot[]
  readonly work: Work
  /** The file that describes the work for the syncing process. */
  readonly file: string
}

/** Told about progress. */
export interface Watcher {
  onStep(step: string): void
  /** Starts with this process to sync, which resumes the work of the killed one. */
  onSyncer(syncer: Syncer): void
  onFailed(failed: Failed): void
}

/** What happened between two kills, or after the last. */
export interface Stretch {
  /** In bytes sent since the round began, at its end. */
  readonly until: number
  /** Bytes that were sent, and how many more were stored afterwards. */
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
 * @throws If the syncing process fails.
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
