import { overlapOf } from '@stored/core/backend'
import { defineCases, hook } from '../case.ts'
import { runToExit } from '../child.ts'
import { BrokenPromise, check, equal, eventually, rejects, settle, started, within } from '../expect.ts'
import { keepingThroughout, keptSince, openFiles } from '../resources.ts'
import { collect, halved } from '../source.ts'
import { once } from '../subject.ts'

/** The limit of the contract for `close`, plus some slack. */
const CLOSE_MS = 5_500

export const lifecycle = defineCases('lc', {
  'open-twice': {
    title: 'a second open changes nothing',
    why: 'Two parts of a program that share a backend both open it.',
    async run(t) {
      await t.store.put(t.key('blob'), t.bytes(10))
      await t.guard.open()
      const driver = await t.driver()
      await driver.open?.({ signal: t.signal, log: () => {} })
      await t.holds(t.key('blob'), t.bytes(10))
      check((await driver.stat(t.key('blob'), { signal: t.signal })) !== null, 'the driver opened twice finds the blob')
    },
  },
  address: {
    title: 'the address, if there is one, is the same for every instance, open or not, and differs for another place',
    why: 'It lets a store refuse one medium under two names, where one file would count as two copies.',
    async run(t) {
      const open = await t.driver()
      const closed = await t.harness.open()
      equal(closed.address, open.address, 'the address of an instance that is not open')
      const again = await t.harness.open()
      equal(again.address, open.address, 'the address of a third instance')
      const elsewhere = await t.harness.broken?.()
      for (const other of [elsewhere, closed, again]) await other?.close?.()
      if (open.address === undefined || elsewhere?.address === undefined) return
      check(overlapOf(open.address, elsewhere.address) !== 'same', 'another place has another address')
    },
  },
  'open-fail': {
    title: 'open of a place that does not exist rejects, and leaves nothing open',
    why: 'It is retried for as long as the place is away.',
    needs: hook('broken'),
    async run(t) {
      const before = openFiles()
      for (let i = 0; i < 10; i++) {
        const driver = await t.harness.broken?.()
        const opened = await settle((async () => driver?.open?.({ signal: t.signal, log: () => {} }))())
        check(opened.status === 'rejected', 'open rejects, but it resolved')
        await driver?.close?.()
      }
      check(openFiles() < before + 5, 'fewer than 5 of 10 failed opens leave something open')
    },
  },
  'close-twice': {
    title: 'a second close resolves',
    why: 'It is called by `await using` and by the handler of a signal.',
    async run(t) {
      const driver = await t.driver()
      for (const what of ['the first close', 'the second close']) {
        await within(Promise.resolve(driver.close?.()), CLOSE_MS, what)
        await within(t.store.close(), CLOSE_MS, what)
      }
    },
  },
  'close-inflight': {
    title: 'close ends a put and a read under way, which settle within 5 s',
    why: 'A program that shuts down waits for them, or is killed in the middle.',
    async run(t) {
      await t.store.put(t.key('blob'), t.bytes(4 << 20))
      const { body } = await t.store.get(t.key('blob'))
      const reader = body[Symbol.asyncIterator]()
      await reader.next()
      const source = halved(t.bytes(1 << 20, 2))
      const put = started(t.store.put(t.key('other'), source, { size: source.size }))
      await source.reachedBy(put)
      await within(t.store.close(), CLOSE_MS, 'close')
      const outcome = await within(settle(put), CLOSE_MS, 'the put under way')
      check(outcome.status === 'rejected', 'the put under way rejects, but it resolved without its bytes')
      await within(settle(collect({ [Symbol.asyncIterator]: () => reader })), CLOSE_MS, 'the read under way')
      await t.lacks(t.key('other'), await t.open())
    },
  },
  'after-close': {
    title: 'every operation after close rejects with CLOSED',
    why: 'A closed instance that still answers hides a use after close.',
    async run(t) {
      await t.store.put(t.key('blob'), t.bytes(10))
      const driver = await t.driver()
      const op = { signal: t.signal }
      await driver.close?.()
      await t.store.close()
      if (driver.close) await rejects(driver.stat(t.key('blob'), op), 'CLOSED', 'stat of the closed driver')
      await rejects(t.store.put(t.key('blob'), t.bytes(10)), 'CLOSED', 'put')
      await rejects(t.store.get(t.key('blob')), 'CLOSED', 'get')
      await rejects(t.store.stat(t.key('blob')), 'CLOSED', 'stat')
      await rejects(t.guard.has(t.key('blob')), 'CLOSED', 'has')
      await rejects(t.store.delete(t.key('blob')), 'CLOSED', 'delete')
      await rejects(t.guard.list({ prefix: t.scope }).next(), 'CLOSED', 'list')
      await rejects(t.guard.copy(t.key('blob'), t.key('copy')), 'CLOSED', 'copy')
    },
  },
  handles: {
    title: 'close leaves no socket, file or timer that keeps the process',
    why: 'Anything left keeps every program that used the driver from exiting.',
    since: '1.2',
    async run(t) {
      const [before, op] = [await keepingThroughout(t.signal), { signal: t.signal }]
      const driver = await t.driver()
      await driver.put(t.key('blob'), once(t.bytes(1_000)), { ...op, size: 1_000 })
      await collect((await driver.get(t.key('blob'), op)).body)
      for await (const _ of driver.list({ prefix: t.scope, ...op }));
      await driver.close?.()
      await eventually(() => keptSince(before).length === 0, CLOSE_MS, 'nothing is left').catch((cause) => {
        const left = keptSince(before).join(', ')
        throw new BrokenPromise(`close leaves nothing that keeps the process, but there is left: ${left}`, { cause })
      })
    },
  },
  exits: {
    title: 'a process that puts, gets and closes ends by itself within 2 s',
    why: 'A timer or a connection left behind keeps every command waiting.',
    needs: hook('child'),
    timeoutMs: 60_000,
    async run(t) {
      const task = { key: t.key('blob'), seed: t.seed, writer: 1, size: 1_000, until: 'exit' } as const
      const { code, error } = await runToExit(t.harness.child as string, task)
      check(code === 0, `the process ends by itself and well, but it ended with ${code}: ${error}`)
      await t.holds(t.key('blob'), t.bytes(1_000))
    },
  },
  'two-instances': {
    title: 'closing one instance leaves another on the same storage usable',
    why: 'A pool shared behind the scenes is closed by the first instance that leaves.',
    async run(t) {
      const [a, b] = [await t.open(), await t.open()]
      await a.put(t.key('blob'), t.bytes(10, 1))
      await a.close()
      await t.holds(t.key('blob'), t.bytes(10, 1), b)
      await b.put(t.key('blob'), t.bytes(10, 2))
      await t.holds(t.key('blob'), t.bytes(10, 2), b)
    },
  },
})
