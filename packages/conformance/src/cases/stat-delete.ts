import { all, type Ctx, capability, defineCases, hook, type Needs } from '../case.ts'
import { check, checkCode, equal, rejects, sameBytes, settle } from '../expect.ts'

const NOT_DENIED = 'What reads as "not there" reads as "safe to write again".'
const IDEMPOTENT = 'A deletion is repeated if its response was lost; S3 cannot even tell whether anything was there.'
const held: Needs = ({ keys }) => (keys?.fileAndPrefix === false ? 'keys.fileAndPrefix is declared false' : true)

export const statAndDelete = defineCases('sd', {
  'stat-missing': {
    title: 'stat of nothing answers null, also deep down and below a blob',
    why: 'Below a file, a file system fails with ENOTDIR: that too is a certain absence.',
    raw: true,
    async run(t) {
      equal(await t.store.stat(t.key('none')), null, 'what stat says of nothing')
      equal(await t.store.stat(t.key('no/such/place')), null, 'what stat says of a deep key')
      await t.store.put(t.key('file'), t.bytes(10))
      equal(await t.store.stat(t.key('file/x')), null, 'what stat says below a blob')
    },
  },
  'stat-dir': {
    title: 'stat of a prefix that has blobs below it answers null',
    why: 'There are no directories here; one that is taken for a blob is read, copied and counted.',
    async run(t) {
      await t.store.put(t.key('dir/blob'), t.bytes(10))
      equal(await t.store.stat(t.key('dir')), null, 'what stat says of the prefix')
      equal(await t.guard.has(t.key('dir')), false, 'what has says of the prefix')
    },
  },
  'stat-denied': {
    title: 'stat without the permission to read rejects with PERMISSION_DENIED',
    why: NOT_DENIED,
    needs: hook('deny'),
    provokes: ['PERMISSION_DENIED'],
    run: (t) => withoutReading(t, (key) => t.store.stat(key)),
  },
  has: {
    title: 'has is true after put and false after delete',
    why: 'A cached answer is out of date.',
    async run(t) {
      equal(await t.guard.has(t.key('blob')), false, 'has before the put')
      await t.store.put(t.key('blob'), t.bytes(10))
      equal(await t.guard.has(t.key('blob')), true, 'has after the put')
      await t.store.delete(t.key('blob'))
      equal(await t.guard.has(t.key('blob')), false, 'has after the delete')
    },
  },
  'has-denied': {
    title: 'has without the permission to read rejects',
    why: NOT_DENIED,
    needs: hook('deny'),
    provokes: ['PERMISSION_DENIED'],
    run: (t) => withoutReading(t, (key) => t.guard.has(key)),
  },
  'get-missing': {
    title: 'get of nothing rejects with NOT_FOUND before it returns a body, and the error names the key',
    why: 'An absence that shows only while the body is read comes after the headers were sent.',
    raw: true,
    async run(t) {
      for (const name of ['none', 'no/such/place']) {
        const error = await rejects(t.store.get(t.key(name)), 'NOT_FOUND', `get of ${name}`)
        equal(error.at.key, t.key(name), 'the key in the error')
      }
    },
  },
  'get-dir': {
    title: 'get of a prefix that has blobs below it rejects with NOT_FOUND',
    why: 'Opening a directory succeeds on some systems, and only reading it fails.',
    async run(t) {
      await t.store.put(t.key('dir/blob'), t.bytes(10))
      await rejects(t.store.get(t.key('dir')), 'NOT_FOUND', 'get of the prefix')
    },
  },
  delete: {
    title: 'a deleted blob is neither found, nor read, nor listed',
    why: 'This is the purpose of delete.',
    raw: true,
    async run(t) {
      await t.store.put(t.key('blob'), t.bytes(10))
      await t.store.delete(t.key('blob'))
      await t.lacks(t.key('blob'))
    },
  },
  'delete-missing': {
    title: 'delete of nothing resolves',
    why: IDEMPOTENT,
    raw: true,
    async run(t) {
      await t.store.delete(t.key('none'))
      await t.store.delete(t.key('no/such/place'))
      await t.store.put(t.key('file'), t.bytes(10))
      await t.store.delete(t.key('file/x'))
      await t.holds(t.key('file'), t.bytes(10))
    },
  },
  'delete-twice': {
    title: 'a second delete resolves too',
    why: IDEMPOTENT,
    raw: true,
    async run(t) {
      await t.store.put(t.key('blob'), t.bytes(10))
      await t.store.delete(t.key('blob'))
      await t.store.delete(t.key('blob'))
      await t.lacks(t.key('blob'))
    },
  },
  'delete-parallel': {
    title: '10 deletes of one blob at once all resolve',
    why: IDEMPOTENT,
    async run(t) {
      const other = await t.open()
      await t.store.put(t.key('deep/blob'), t.bytes(10))
      await Promise.all(Array.from({ length: 10 }, (_, i) => (i % 2 ? t.store : other).delete(t.key('deep/blob'))))
      await t.lacks(t.key('deep/blob'))
    },
  },
  'delete-exact': {
    title: 'delete of `a` leaves `a/b` and `ab`',
    why: 'A delete that takes a prefix for a directory removes the whole tree.',
    async run(t) {
      await t.store.put(t.key('a/b'), t.bytes(10, 1))
      await t.store.put(t.key('ab'), t.bytes(10, 2))
      if (held(t.capabilities, t.harness, t.view) === true) await t.store.put(t.key('a'), t.bytes(10, 3))
      await t.store.delete(t.key('a'))
      await t.holds(t.key('a/b'), t.bytes(10, 1))
      await t.holds(t.key('ab'), t.bytes(10, 2))
      await t.lacks(t.key('a'))
    },
  },
  recreate: {
    title: 'put after a delete stores the new bytes under a new etag',
    why: 'A caller that still holds the old etag must not take the new blob for the old one.',
    async run(t) {
      const first = await t.store.put(t.key('blob'), t.bytes(100, 1))
      await t.store.delete(t.key('blob'))
      const second = await t.store.put(t.key('blob'), t.bytes(100, 2))
      await t.holds(t.key('blob'), t.bytes(100, 2))
      if (first.etag !== undefined && t.capabilities.etag !== 'weak')
        check(first.etag !== second.etag, `the new blob has a new etag, but it has ${second.etag} again`)
    },
  },
  'delete-while-reading': {
    title: 'a blob deleted while it is read is read to its end, or its reader throws',
    why: 'A body that just ends is taken for the whole blob.',
    async run(t) {
      const bytes = t.bytes(4 << 20)
      await t.store.put(t.key('blob'), bytes)
      const { body } = await t.store.get(t.key('blob'))
      const outcome = await settle(readAround(body, () => t.store.delete(t.key('blob'))))
      if (outcome.status === 'fulfilled') sameBytes(t.seed, outcome.value, bytes, 'the blob read to its end')
      else checkCode(outcome.reason, ['NOT_FOUND', 'CONFLICT', 'UNAVAILABLE'], 'its reader')
    },
  },
  parents: {
    title: 'after `x/y/z` is deleted `x` can be put',
    why: 'A directory left behind occupies the place of a blob.',
    async run(t) {
      await t.store.put(t.key('x/y/z'), t.bytes(10, 1))
      await t.store.delete(t.key('x/y/z'))
      await t.store.put(t.key('x'), t.bytes(10, 2))
      await t.holds(t.key('x'), t.bytes(10, 2))
    },
  },
  'ifmatch-ok': {
    title: 'delete with the etag of the blob removes it',
    why: 'This is how a worker removes only what it knows.',
    needs: capability('ifMatch'),
    async run(t) {
      const { etag } = await t.store.put(t.key('blob'), t.bytes(10))
      await t.guard.delete(t.key('blob'), { ifMatch: etag })
      await t.lacks(t.key('blob'))
    },
  },
  'ifmatch-stale': {
    title: 'delete with a former etag rejects with PRECONDITION_FAILED and leaves the blob',
    why: 'A condition that is accepted and ignored deletes what someone else has just written.',
    needs: all(capability('ifMatch')),
    async run(t) {
      const { etag } = await t.store.put(t.key('blob'), t.bytes(10, 1))
      await t.store.put(t.key('blob'), t.bytes(10, 2))
      await rejects(
        t.guard.delete(t.key('blob'), { ifMatch: etag }),
        'PRECONDITION_FAILED',
        'delete with a former etag',
      )
      await t.holds(t.key('blob'), t.bytes(10, 2))
    },
  },
})

async function withoutReading(t: Ctx, call: (key: string) => Promise<unknown>): Promise<void> {
  await t.store.put(t.key('blob'), t.bytes(10))
  const allow = await t.harness.deny?.('read')
  try {
    await rejects(call(t.key('blob')), 'PERMISSION_DENIED', 'the call without permission')
  } finally {
    await allow?.()
  }
}

/** Reads a body to its end, and calls `between` after its first chunk. */
export async function readAround(
  body: AsyncIterable<Uint8Array>,
  between: () => Promise<unknown>,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of body) {
    chunks.push(Uint8Array.from(chunk))
    if (chunks.length === 1) await between()
  }
  return Buffer.concat(chunks)
}
