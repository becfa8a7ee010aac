import type { Capabilities } from '@stored/core/backend'
import { all, type Ctx, capability, defineCases, type Needs } from '../case.ts'
import { check, equal, rejects, sameBytes } from '../expect.ts'
import { once } from '../subject.ts'

const TRUSTED = 'A capability is trusted without checking: StoreD chooses its strategy by it.'
const FLAGS = [
  ...['readOnly', 'range', 'ifAbsent', 'ifMatch', 'atomicOverwrite', 'order', 'startAfter', 'contentType', 'metadata'],
  ...['usesFile', 'resume', 'copy', 'deleteMany', 'signedUrl', 'watch', 'sweep', 'local'],
]
const METHODS = ['copy', 'deleteMany', 'signedUrl', 'watch', 'sweep'] as const
const CHECKSUMS = ['sha256', 'sha1', 'md5', 'crc32c', 'crc64nvme']
const writable: Needs = ({ readOnly }) => (readOnly ? 'readOnly: nothing can be put' : true)
const HOUR_MS = 3_600_000

export const honesty = defineCases('cp', {
  schema: {
    title: 'capabilities are those of the contract, have a method where they need one, and do not change',
    why: TRUSTED,
    async run(t) {
      const driver = await t.driver()
      check(typeof driver.name === 'string' && driver.name !== '', 'the driver has a name')
      const before = JSON.stringify(driver.capabilities)
      checkSchema(driver.capabilities)
      for (const method of METHODS)
        equal(driver[method] !== undefined, driver.capabilities[method] === true, `whether there is a method ${method}`)
      if (!driver.capabilities.readOnly) await t.store.put(t.key('blob'), t.bytes(10))
      equal(JSON.stringify((await t.driver()).capabilities), before, 'what another instance declares')
      equal(JSON.stringify(driver.capabilities), before, 'what it declares afterwards')
    },
  },
  copy: {
    title: 'copy gives the same blob under another key, and NOT_FOUND for nothing',
    why: 'A copy that drops the type or comes from a cache is discovered long after its original is gone.',
    needs: writable,
    proves: ['copy'],
    async run(t) {
      await t.store.put(t.key('from'), t.bytes(10_000, 1))
      await t.store.put(t.key('to'), t.bytes(10, 2))
      const copied = await t.guard.copy(t.key('from'), t.key('to'))
      equal({ key: copied.key, size: copied.size }, { key: t.key('to'), size: 10_000 }, 'what copy returns')
      for (const name of ['from', 'to']) await t.holds(t.key(name), t.bytes(10_000, 1))
      await rejects(t.guard.copy(t.key('none'), t.key('to')), 'NOT_FOUND', 'copy of nothing')
      await t.holds(t.key('to'), t.bytes(10_000, 1))
    },
  },
  'delete-many': {
    title: 'deleteMany removes what is there, passes over what is not, and leaves the rest',
    why: 'Services answer 200 to a deletion that failed for half of the keys.',
    needs: writable,
    proves: ['deleteMany'],
    async run(t) {
      const names = Array.from({ length: 30 }, (_, i) => `dir/${i}`)
      for (const name of [...names, 'dirs']) await t.store.put(t.key(name), t.bytes(10))
      const failures = await t.guard.deleteMany([...names, 'none'].map((name) => t.key(name)))
      equal([...failures.keys()], [], 'the keys that failed')
      equal(await t.names(), ['dirs'], 'what is left')
    },
  },
  'signed-url': {
    title: 'a signed URL to GET a blob serves its bytes to anyone',
    why: 'It is given to users who have nothing but HTTP.',
    needs: all(writable, capability('signedUrl')),
    proves: ['signedUrl'],
    async run(t) {
      await t.store.put(t.key('a b/é%+#?.txt'), t.bytes(5_000))
      const url = await t.guard.signedUrl(t.key('a b/é%+#?.txt'), { method: 'GET', expiresMs: 60_000 })
      const response = await fetch(url, { signal: t.signal })
      equal(response.status, 200, 'the status of the response')
      sameBytes(t.seed, new Uint8Array(await response.arrayBuffer()), t.bytes(5_000), 'the body of the response')
    },
  },
  refused: {
    title: 'what is not declared and cannot be emulated rejects with UNSUPPORTED',
    why: 'What works without being declared works by accident, and stops without notice.',
    async run(t) {
      const { signedUrl, watch, sweep } = t.capabilities
      const key = t.key('blob')
      if (!signedUrl) {
        await rejects(t.guard.signedUrl(key, { method: 'GET', expiresMs: 60_000 }), 'UNSUPPORTED', 'signedUrl')
        t.refused('signedUrl')
      }
      if (!watch) {
        await rejects(t.guard.watch({ prefix: t.scope }).next(), 'UNSUPPORTED', 'watch')
        t.refused('watch')
      }
      if (!sweep) {
        await rejects(t.guard.sweep({ olderThanMs: HOUR_MS }), 'UNSUPPORTED', 'sweep')
        t.refused('sweep')
      }
    },
  },
  readonly: {
    title: 'put and delete of a read-only backend reject with UNSUPPORTED',
    why: 'A write that only seems to succeed loses the blob.',
    needs: capability('readOnly'),
    proves: ['readOnly'],
    async run(t) {
      await rejects(t.store.put(t.key('blob'), t.bytes(10)), 'UNSUPPORTED', 'put')
      await rejects(t.store.delete(t.key('blob')), 'UNSUPPORTED', 'delete')
      const driver = await t.driver()
      await rejects(
        driver.put(t.key('blob'), once(t.bytes(10)), { signal: t.signal }),
        'UNSUPPORTED',
        'put of the driver',
      )
    },
  },
  proved: {
    title: 'every declared capability was put to the test by a case of this run',
    why: TRUSTED,
    declare: 'no more than the cases can reach: some need a hook of the harness',
    async run(t) {
      if (!t.run.complete) t.skip('only some of the cases were asked for')
      equal(unproved(t), [], 'the list of declared capabilities that no case has put to the test')
    },
  },
})

function unproved(t: Ctx): string[] {
  const { contract: _, local: __, keys: ___, limits: ____, ...flags } = t.capabilities
  return Object.entries(flags)
    .filter(([name, value]) => isDeclared(value) && !t.run.tested.has(name))
    .map(([name]) => name)
}

function isDeclared(value: unknown): boolean {
  return Array.isArray(value) ? value.length > 0 : value === true || value === 'strong'
}

function checkSchema(capabilities: Capabilities): void {
  const { contract, checksums = [], etag, keys = {}, limits = {}, ...flags } = capabilities
  equal(contract, 1, 'the version of the contract')
  for (const [name, value] of Object.entries(flags)) {
    check(FLAGS.includes(name), `every capability is one of the contract, but there is ${JSON.stringify(name)}`)
    check(value === undefined || typeof value === 'boolean', `capability ${name} is true or false`)
  }
  for (const name of checksums)
    check(CHECKSUMS.includes(name), `every checksum is one of the contract, but there is ${name}`)
  check(etag === undefined || etag === 'strong' || etag === 'weak', "etag is 'strong' or 'weak'")
  const { maxBytes, maxSegmentBytes, ...keyFlags } = keys
  for (const [name, value] of Object.entries(keyFlags)) {
    check(['caseSensitive', 'normalizes', 'fileAndPrefix'].includes(name), `there is no keys.${name}`)
    check(typeof value === 'boolean', `keys.${name} is true or false`)
  }
  const { needsSize, ...sizes } = limits
  check(needsSize === undefined || typeof needsSize === 'boolean', 'limits.needsSize is true or false')
  for (const [name, value] of Object.entries({ maxBytes, maxSegmentBytes, ...sizes }))
    check(value === undefined || (Number.isSafeInteger(value) && value > 0), `${name} is a whole number above 0`)
}
