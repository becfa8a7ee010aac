import type { GuardedBackend } from '@stored/core'
import type { StorageErrorCode } from '@stored/core/backend'
import { type Ctx, defineCases, either, hook } from '../case.ts'
import { checkCode, equal, rejects, settle, within } from '../expect.ts'
import { SETTLE_MS } from './wire.ts'

/** Codes that say the medium failed, and nothing about the blob or the caller. */
const OUTAGES: readonly StorageErrorCode[] = [
  ...(['UNAVAILABLE', 'TIMEOUT', 'RATE_LIMITED', 'INTERNAL', 'MISCONFIGURED'] as const),
  ...(['PERMISSION_DENIED', 'UNAUTHENTICATED', 'NO_SPACE', 'CORRUPT'] as const),
]

export const brokenMedium = defineCases('ft', {
  broken: {
    title:
      'while the medium fails every operation rejects, and none says that nothing is there; afterwards all is as before',
    why: 'What reads as "not there" reads as "safe to write again"; an empty listing reads as "all deleted".',
    needs: either(hook('fail'), hook('endpoint')),
    provokes: ['UNAVAILABLE'],
    since: '1.2',
    timeoutMs: 120_000,
    async run(t) {
      const [key, other, bytes] = [t.key('dir/blob'), t.key('other'), t.bytes(1_000)]
      await t.store.put(key, bytes)
      await t.store.put(other, bytes)
      await whileBroken(t, async (guard) => {
        await fails(guard.stat(key), 'stat')
        await fails(guard.has(key), 'has')
        await fails(t.read(key, guard), 'get')
        await fails(t.names('', guard), 'list')
        await fails(guard.delete(key), 'delete')
        await fails(guard.copy(key, other), 'copy')
        if (t.capabilities.sweep) await fails(guard.sweep({ olderThanMs: 0 }), 'sweep')
        await fails(guard.put(key, t.bytes(1_000, 2)), 'put')
      })
      for (const each of [key, other]) await t.holds(each, bytes)
      await t.store.put(key, t.bytes(1_000, 3))
      await t.holds(key, t.bytes(1_000, 3))
      equal((await t.names()).sort(), ['dir/blob', 'other'], 'what is listed afterwards')
    },
  },
  'broken-many': {
    title:
      'while the medium fails deleteMany rejects, or names every key with its failure, and nothing is gone afterwards',
    why: 'A key that is not among the failures is taken for deleted, and its bytes stay forever.',
    needs: either(hook('fail'), hook('endpoint')),
    since: '1.2',
    timeoutMs: 120_000,
    async run(t) {
      const keys = ['a', 'b/c', 'd'].map((name) => t.key(name))
      for (const key of keys) await t.store.put(key, t.bytes(100))
      await whileBroken(t, async (guard) => {
        const outcome = await within(settle(guard.deleteMany(keys)), SETTLE_MS, 'deleteMany')
        if (outcome.status === 'rejected') return void checkCode(outcome.reason, OUTAGES, 'deleteMany')
        equal([...outcome.value.keys()].sort(), keys, 'the keys that deleteMany says it could not delete')
        for (const [key, error] of outcome.value) checkCode(error, OUTAGES, `deleteMany of ${key}`)
      })
      for (const key of keys) await t.holds(key, t.bytes(100))
    },
  },
})

/** Breaks the medium through the harness, or else the connection to it, and restores it afterwards. */
async function whileBroken(t: Ctx, body: (guard: GuardedBackend) => Promise<void>): Promise<void> {
  if (t.harness.fail === undefined) {
    const { guard, proxy } = await t.through({ retries: 0 })
    proxy.refuse()
    return body(guard)
  }
  const mend = await t.harness.fail()
  try {
    return await body(t.guard.withoutRetries())
  } finally {
    await mend()
  }
}

async function fails(call: Promise<unknown>, what: string): Promise<void> {
  await within(rejects(call, OUTAGES, what), SETTLE_MS, what)
}
