import { type Ctx, defineCases, hook } from '../case.ts'
import { check, sameBytes, started } from '../expect.ts'
import { halved } from '../source.ts'
import { readAround } from './stat-delete.ts'

const LARGE = 4 << 20

export const reconnecting = defineCases('op', {
  reconnect: {
    title: 'reconnect lets a put and a read in progress end as they would have, and all later calls work',
    why: 'It is called because one blob was read wrong, while other calls are in progress.',
    since: '1.2',
    async run(t) {
      // On the driver itself: the guard would hide that a read broke off.
      const driver = await t.driver()
      const op = { signal: t.signal }
      if (driver.reconnect === undefined) t.skip('the driver has no reconnect')
      await t.store.put(t.key('blob'), t.bytes(LARGE, 1))
      const source = halved(t.bytes(LARGE, 2))
      const put = started(driver.put(t.key('other'), source, { ...op, size: source.size }))
      await source.reachedBy(put)
      const { body } = await driver.get(t.key('blob'), op)
      const read = await readAround(body, async () => driver.reconnect?.())
      sameBytes(t.seed, read, t.bytes(LARGE, 1), 'the blob that was being read')
      source.release()
      await put
      await t.holds(t.key('other'), t.bytes(LARGE, 2))
      for (let time = 0; time < 3; time++) await worksAfter(t)
    },
  },
  'reconnect-new': {
    title: 'after reconnect the next call goes over a connection that was not there before',
    why: 'Bytes damaged by a broken path are damaged again on the same path.',
    since: '1.2',
    needs: hook('endpoint'),
    async run(t) {
      if ((await t.driver()).reconnect === undefined) t.skip('the driver has no reconnect')
      await t.store.put(t.key('blob'), t.bytes(1_000))
      const { guard, proxy } = await t.through()
      for (let time = 0; time < 3; time++) {
        await t.holds(t.key('blob'), t.bytes(1_000), guard)
        const before = proxy.connections
        await guard.reconnect()
        await t.holds(t.key('blob'), t.bytes(1_000), guard)
        check(proxy.connections > before, 'a connection is made after reconnect')
      }
    },
  },
})

async function worksAfter(t: Ctx): Promise<void> {
  await t.guard.reconnect()
  await t.store.put(t.key('next'), t.bytes(1_000, 3))
  await t.holds(t.key('next'), t.bytes(1_000, 3))
  await t.store.delete(t.key('next'))
  await t.lacks(t.key('next'))
}
