import { type Ctx, defineCases, hook } from '../case.ts'
import { checkCode, equal, settle } from '../expect.ts'
import { inBatches } from './batches.ts'

/** One more than S3 deletes in one request. */
const MORE_THAN_A_PAGE = 1_001
/** Characters that must be escaped in XML, JSON, a URL or a query. */
const AWKWARD = ['a&b', 'c<d>', `e"f'g`, 'h%20i', 'j+k', 'l?m#n', 'é/日本', "o'; --"]

export const deletingMany = defineCases('op', {
  'delete-edge': {
    title: 'deleteMany accepts no key, a key twice, awkward keys and absent keys, and none of that is a failure',
    why: 'The list of keys to delete is made from an older state: a second attempt with it must succeed.',
    since: '1.2',
    async run(t) {
      const names = [...AWKWARD, 'twice', 'last']
      for (const name of [...names, 'stays']) await t.store.put(t.key(name), t.bytes(10))
      equal([...(await t.guard.deleteMany([])).keys()], [], 'the keys that failed of none')
      equal((await t.names()).length, names.length + 1, 'how many blobs are there after nothing was deleted')
      const asked = ['none', ...AWKWARD, 'no/such/place', 'twice', 'twice', 'last']
      for (const time of ['', ' again']) {
        const failures = await t.guard.deleteMany(asked.map((name) => t.key(name)))
        equal([...failures.keys()], [], `the keys that failed${time}`)
        equal(await t.names(), ['stays'], 'what is left')
      }
    },
  },
  'delete-denied': {
    title:
      'deleteMany without the permission to write rejects, or names each key with PERMISSION_DENIED, and nothing is gone',
    why: 'Services answer 200 to a deletion that failed for half of the keys.',
    since: '1.2',
    needs: hook('deny'),
    provokes: ['PERMISSION_DENIED'],
    async run(t) {
      const keys = ['a', 'b', 'c'].map((name) => t.key(name))
      for (const key of keys) await t.store.put(key, t.bytes(100))
      const allow = await t.harness.deny?.('write')
      const outcome = await settle(t.guard.deleteMany(keys)).finally(() => allow?.())
      if (outcome.status === 'rejected') checkCode(outcome.reason, ['PERMISSION_DENIED'], 'deleteMany')
      else {
        equal([...outcome.value.keys()].sort(), keys, 'the keys that deleteMany says it could not delete')
        for (const [key, error] of outcome.value) checkCode(error, ['PERMISSION_DENIED'], `deleteMany of ${key}`)
      }
      for (const key of keys) await t.holds(key, t.bytes(100))
    },
  },
  'delete-pages': {
    title: `deleteMany of ${MORE_THAN_A_PAGE} keys removes all of them`,
    why: 'A service accepts a limited number at a time and ignores the rest silently.',
    since: '1.2',
    profile: 'full',
    async run(t) {
      const names = Array.from({ length: MORE_THAN_A_PAGE }, (_, i) => `dir/${i}`)
      await putAll(t, [...names, 'stays'])
      const failures = await t.guard.deleteMany(names.map((name) => t.key(name)))
      equal([...failures.keys()], [], 'the keys that failed')
      equal(await t.names(), ['stays'], 'what is left')
    },
  },
})

function putAll(t: Ctx, names: readonly string[]): Promise<void> {
  return inBatches(t, names, (name) => t.store.put(t.key(name), t.bytes(1)))
}
