import { absent, all, type Ctx, capability, defineCases, hook, type Needs } from '../case.ts'
import { check, checkCode, equal, rejects, sameBytes, settle } from '../expect.ts'
import { writerOf } from '../payload.ts'
import { collect } from '../source.ts'
import type { Subject } from '../subject.ts'
import { putWithoutReply, REPLY_CUTS, wholeOrAbsent } from './wire.ts'

const RACERS = 50
const IN_ONE_STEP = 'A check followed by a write is two steps: every racer in between wins.'
/** The part size if a driver declares none: that of the services. */
const PART_BYTES = 8 << 20
const either: Needs = ({ ifAbsent, ifMatch }) =>
  ifAbsent || ifMatch ? true : 'neither capability ifAbsent nor ifMatch is declared'
const partly: Needs = ({ ifAbsent, ifMatch }) =>
  ifAbsent && ifMatch ? 'capabilities ifAbsent and ifMatch are both declared' : true

export const conditions = defineCases('cw', {
  new: {
    title: 'put with ifAbsent of a free key stores the blob',
    why: 'A first write always carries the condition.',
    needs: capability('ifAbsent'),
    async run(t) {
      await t.store.put(t.key('dir/blob'), t.bytes(1_000), { ifAbsent: true })
      await t.holds(t.key('dir/blob'), t.bytes(1_000))
    },
  },
  exists: {
    title: 'put with ifAbsent of a taken key rejects with ALREADY_EXISTS and leaves the blob',
    why: 'StoreD never overwrites an object that it did not write.',
    declare: 'no ifAbsent',
    needs: capability('ifAbsent'),
    async run(t) {
      await t.store.put(t.key('blob'), t.bytes(1_000, 1))
      await rejects(
        t.store.put(t.key('blob'), t.bytes(1_000, 2), { ifAbsent: true }),
        'ALREADY_EXISTS',
        'the second put',
      )
      await t.holds(t.key('blob'), t.bytes(1_000, 1))
      await t.clean()
    },
  },
  race: {
    title: `of ${RACERS} puts with ifAbsent at once exactly one resolves, and its blob is there`,
    why: IN_ONE_STEP,
    declare: 'no ifAbsent',
    needs: capability('ifAbsent'),
    proves: ['ifAbsent'],
    async run(t) {
      const other = await t.open()
      const races = Array.from({ length: RACERS }, (_, i) =>
        (i % 2 ? t.store : other).put(t.key('blob'), t.bytes(10_000, i + 1), { ifAbsent: true }),
      )
      const outcomes = await Promise.allSettled(races)
      const winners = outcomes.flatMap(({ status }, i) => (status === 'fulfilled' ? [i + 1] : []))
      equal(winners.length, 1, 'the number of puts that resolved')
      for (const outcome of outcomes)
        if (outcome.status === 'rejected') checkCode(outcome.reason, ['ALREADY_EXISTS', 'CONFLICT'], 'a put that lost')
      await t.holds(t.key('blob'), t.bytes(10_000, winners[0]))
    },
  },
  'after-delete': {
    title: 'put with ifAbsent of a deleted key stores the blob',
    why: 'A tombstone taken for a blob blocks its key forever.',
    needs: capability('ifAbsent'),
    async run(t) {
      await t.store.put(t.key('blob'), t.bytes(100, 1))
      await t.store.delete(t.key('blob'))
      await t.store.put(t.key('blob'), t.bytes(100, 2), { ifAbsent: true })
      await t.holds(t.key('blob'), t.bytes(100, 2))
    },
  },
  match: {
    title: 'put with the etag of the blob overwrites it and gives a new etag',
    why: 'An overwrite must not destroy what someone else has written since.',
    needs: capability('ifMatch'),
    async run(t) {
      const first = await t.store.put(t.key('blob'), t.bytes(100, 1))
      const second = await t.store.put(t.key('blob'), t.bytes(100, 2), { ifMatch: first.etag as string })
      check(first.etag !== second.etag, 'the overwrite has a new etag')
      await t.holds(t.key('blob'), t.bytes(100, 2))
    },
  },
  stale: {
    title: 'put with a former etag rejects with PRECONDITION_FAILED and leaves the blob',
    why: 'A condition that is accepted and ignored overwrites what someone else has just written.',
    declare: 'no ifMatch',
    needs: capability('ifMatch'),
    async run(t) {
      const { etag } = await t.store.put(t.key('blob'), t.bytes(100, 1))
      await t.store.put(t.key('blob'), t.bytes(100, 2))
      const put = t.store.put(t.key('blob'), t.bytes(100, 3), { ifMatch: etag as string })
      await rejects(put, 'PRECONDITION_FAILED', 'put with a former etag')
      await t.holds(t.key('blob'), t.bytes(100, 2))
    },
  },
  'match-missing': {
    title: 'put with an etag of a key that holds nothing rejects with PRECONDITION_FAILED and stores nothing',
    why: 'AWS answers 404, Ceph 412, and some accept: code that expects one of them misses the others.',
    needs: capability('ifMatch'),
    async run(t) {
      const { etag } = await t.store.put(t.key('other'), t.bytes(100))
      const put = t.store.put(t.key('blob'), t.bytes(100), { ifMatch: etag as string })
      await rejects(put, 'PRECONDITION_FAILED', 'put with an etag of nothing')
      await t.lacks(t.key('blob'))
    },
  },
  counter: {
    title: '5 workers that each raise a counter 10 times by ifMatch raise it by 50',
    why: IN_ONE_STEP,
    declare: 'no ifMatch',
    needs: capability('ifMatch'),
    proves: ['ifMatch'],
    timeoutMs: 60_000,
    async run(t) {
      await t.store.put(t.key('counter'), t.bytes(64, 0))
      const workers = await Promise.all(Array.from({ length: 5 }, () => t.open()))
      await Promise.all(
        workers.map(async (store) => {
          for (let raised = 0; raised < 10; ) if (await raise(t, store)) raised++
        }),
      )
      equal(writerOf(await t.read(t.key('counter'))), 50, 'the counter')
    },
  },
  'get-match': {
    title: 'get with the etag of the blob reads it, and with a former one rejects with PRECONDITION_FAILED',
    why: 'A resumed read would continue in the middle of another blob.',
    needs: capability('ifMatch'),
    async run(t) {
      const first = await t.store.put(t.key('blob'), t.bytes(100, 1))
      const second = await t.store.put(t.key('blob'), t.bytes(100, 2))
      const { body } = await t.guard.get(t.key('blob'), { ifMatch: second.etag })
      sameBytes(t.seed, await collect(body), t.bytes(100, 2), 'the blob read by its etag')
      await rejects(
        t.guard.get(t.key('blob'), { ifMatch: first.etag }),
        'PRECONDITION_FAILED',
        'get with a former etag',
      )
    },
  },
  parts: {
    title: 'the conditions hold for a blob of several parts as for a small one',
    why: 'Its parts are uploaded first, and another call, which is easily forgotten, checks the condition.',
    profile: 'full',
    needs: either,
    async run(t) {
      const size = 2 * (t.capabilities.limits?.partSize ?? PART_BYTES) + 1
      if (t.capabilities.ifAbsent) await onlyTheFirst(t, size)
      if (t.capabilities.ifMatch) await onlyTheCurrent(t, size)
      await t.clean()
    },
  },
  'lost-reply': {
    title: 'put with ifAbsent whose answer is lost resolves or rejects as ambiguous, never with ALREADY_EXISTS',
    why: "A repeated request meets its own first copy, and the blob is taken for someone else's.",
    needs: all(capability('ifAbsent'), hook('endpoint')),
    async run(t) {
      const bytes = t.bytes(100_000)
      for (const after of REPLY_CUTS) {
        const key = t.key(`blob${after}`)
        await wholeOrAbsent(t, key, bytes, await putWithoutReply(t, key, bytes, { ifAbsent: true, after }))
      }
    },
  },
  both: {
    title: 'put with ifAbsent and ifMatch at once rejects with INVALID_ARGUMENT',
    why: 'They exclude each other: a service that receives both picks one, and not all pick the same.',
    async run(t) {
      const put = t.store.put(t.key('blob'), t.bytes(10), { ifAbsent: true, ifMatch: 'x' })
      const both = t.capabilities.ifAbsent && t.capabilities.ifMatch
      await rejects(put, both ? 'INVALID_ARGUMENT' : ['INVALID_ARGUMENT', 'UNSUPPORTED'], 'put with both conditions')
      await t.lacks(t.key('blob'))
    },
  },
  undeclared: {
    title: 'an undeclared condition rejects with UNSUPPORTED, and the blob stays unchanged',
    why: 'A condition that is accepted and ignored is worse than none, because everyone relies on it.',
    needs: partly,
    async run(t) {
      const { etag = 'x' } = await t.store.put(t.key('blob'), t.bytes(100, 1))
      if (absent('ifAbsent')(t.capabilities, t.harness, t.view) === true) {
        await rejects(
          t.store.put(t.key('blob'), t.bytes(100, 2), { ifAbsent: true }),
          'UNSUPPORTED',
          'put with ifAbsent',
        )
        await rejects(
          t.store.put(t.key('free'), t.bytes(100, 2), { ifAbsent: true }),
          'UNSUPPORTED',
          'put with ifAbsent',
        )
        t.refused('ifAbsent')
      }
      if (absent('ifMatch')(t.capabilities, t.harness, t.view) === true) {
        await rejects(t.store.put(t.key('blob'), t.bytes(100, 2), { ifMatch: etag }), 'UNSUPPORTED', 'put with ifMatch')
        await rejects(t.guard.get(t.key('blob'), { ifMatch: etag }), 'UNSUPPORTED', 'get with ifMatch')
        await rejects(t.guard.delete(t.key('blob'), { ifMatch: etag }), 'UNSUPPORTED', 'delete with ifMatch')
        t.refused('ifMatch')
      }
      await t.holds(t.key('blob'), t.bytes(100, 1))
      await t.lacks(t.key('free'))
    },
  },
})

async function onlyTheFirst(t: Ctx, size: number): Promise<void> {
  const racers = [1, 2, 3].map((writer) => t.store.put(t.key('free'), t.bytes(size, writer), { ifAbsent: true, size }))
  const outcomes = await Promise.allSettled(racers)
  const winners = outcomes.flatMap(({ status }, i) => (status === 'fulfilled' ? [i + 1] : []))
  equal(winners.length, 1, 'the number of puts that resolved')
  await rejects(
    t.store.put(t.key('free'), t.bytes(size, 4), { ifAbsent: true, size }),
    'ALREADY_EXISTS',
    'put of a taken key',
  )
  await t.holds(t.key('free'), t.bytes(size, winners[0]))
}

async function onlyTheCurrent(t: Ctx, size: number): Promise<void> {
  const { etag: former } = await t.store.put(t.key('blob'), t.bytes(size, 1), { size })
  const { etag } = await t.store.put(t.key('blob'), t.bytes(size, 2), { ifMatch: former as string, size })
  check(etag !== former, 'the overwrite has a new etag')
  const stale = t.store.put(t.key('blob'), t.bytes(size, 3), { ifMatch: former as string, size })
  await rejects(stale, 'PRECONDITION_FAILED', 'put with a former etag')
  await t.holds(t.key('blob'), t.bytes(size, 2))
}

/** Reads the counter and writes its successor on condition that it is unchanged. @returns Whether it was. */
async function raise(t: Ctx, store: Subject): Promise<boolean> {
  const key = t.key('counter')
  const { stat, body } = await store.get(key)
  const read = await settle(collect(body))
  if (read.status === 'rejected') {
    checkCode(read.reason, ['CONFLICT'], 'a reader that was overtaken')
    return false
  }
  const value = writerOf(read.value)
  try {
    await store.put(key, t.bytes(64, value + 1), { ifMatch: stat.etag as string })
    return true
  } catch (error) {
    checkCode(error, ['PRECONDITION_FAILED', 'CONFLICT'], 'a put that lost')
    return false
  }
}
