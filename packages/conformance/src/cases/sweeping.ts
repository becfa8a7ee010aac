import { all, type Ctx, capability, defineCases, either, hook, type Needs } from '../case.ts'
import { type ChildTask, duringPut, killAtReached } from '../child.ts'
import { check, equal, started } from '../expect.ts'
import { halved } from '../source.ts'
import { bytesOf, putPart } from './resume.ts'

const HOUR_MS = 3_600_000
const LARGE = 1 << 20
const LIVE = 'A sweep that takes a put in progress for debris loses it.'

const sweeps = capability('sweep')
/** The debris of others is theirs. */
const alone: Needs = (_, { shared }) => (shared ? 'shared: the debris of others lies there too' : true)

export const sweeping = defineCases('op', {
  'sweep-blobs': {
    title: 'sweep removes no blob, however small it is and whatever its name looks like',
    why: 'What looks like debris to a driver may be all that someone has.',
    since: '1.2',
    needs: all(sweeps, alone),
    async run(t) {
      const names = ['empty', 'blob.tmp', 'deep/.stored/tmp/blob', '.tmp-1/x', '0b7bd9ac-3c46-4f3b-9f5c-5d6b1f5f1c5e']
      for (const name of names) await t.store.put(t.key(name), t.bytes(name === 'empty' ? 0 : 10))
      await t.guard.sweep({ olderThanMs: 0 })
      for (const name of names) await t.holds(t.key(name), t.bytes(name === 'empty' ? 0 : 10))
    },
  },
  'sweep-young': {
    title: 'sweep leaves debris that is younger than requested, and removes it when asked to remove all',
    why: 'Recent debris may be the put of a process that is still running.',
    since: '1.2',
    needs: all(sweeps, alone, either(hook('child'), capability('resume'))),
    timeoutMs: 120_000,
    async run(t) {
      await t.guard.sweep({ olderThanMs: 0 })
      const left = await leaveDebris(t)
      await t.guard.sweep({ olderThanMs: HOUR_MS })
      const swept = await t.guard.sweep({ olderThanMs: 0 })
      check(swept >= left, `sweep finds what ${left} dead puts left a moment ago, but it counted ${swept}`)
      equal(await t.guard.sweep({ olderThanMs: 0 }), 0, 'how much a second sweep finds')
      await t.clean()
    },
  },
  'sweep-other': {
    title: 'sweep with an age of an hour spares the put of another process, which then succeeds',
    why: LIVE,
    since: '1.2',
    needs: all(sweeps, hook('child'), alone),
    timeoutMs: 120_000,
    async run(t) {
      const put = task(t, t.key('other'), 'wait')
      await duringPut(t.harness.child as string, put, () => t.guard.sweep({ olderThanMs: HOUR_MS }))
      await t.holds(t.key('other'), t.bytes(put.size, put.writer))
    },
  },
  'sweep-running': {
    title: 'sweep of everything spares the puts of its own instance',
    why: LIVE,
    since: '1.2',
    needs: all(sweeps, alone),
    async run(t) {
      const bytes = t.bytes(sizeOf(t))
      const source = halved(bytes)
      const put = started(t.store.put(t.key('live'), source, { size: source.size }))
      await source.reachedBy(put)
      await t.guard.sweep({ olderThanMs: 0 })
      source.release()
      await put
      await t.holds(t.key('live'), bytes)
    },
  },
})

/** @returns How many puts died. */
async function leaveDebris(t: Ctx): Promise<number> {
  const { child } = t.harness
  if (child !== undefined) await killAtReached(child, task(t, t.key('dead'), 'hang'))
  if (t.capabilities.resume) await putPart(t, t.guard, t.key('cut'), bytesOf(t))
  return (child === undefined ? 0 : 1) + (t.capabilities.resume ? 1 : 0)
}

function task(t: Ctx, key: string, until: ChildTask['until']): ChildTask {
  return { key, seed: t.seed, writer: 2, size: sizeOf(t), until }
}

/** More than two parts, so that half of it exceeds one part: during a single part, nothing may have been sent yet. */
function sizeOf({ capabilities }: Ctx): number {
  return Math.max(LARGE, 4 * (capabilities.limits?.partSize ?? 0))
}
