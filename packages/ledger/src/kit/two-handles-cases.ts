import { deepEqual, equal } from 'node:assert/strict'
import type { TreeLedger } from '../ledger.ts'
import { type Done, type Peer, peerOf, type Step } from './peer.ts'
import { all, get, put, recorded } from './rows.ts'
import type { LedgerCase, LedgerHarness } from './run-case.ts'

const MANY = Array.from({ length: 20 }, (_, i) => i)

/** A case of two handles on one store, of which `one` is the ledger itself. */
function twoHandles(
  id: string,
  title: string,
  why: string,
  run: (both: { one: Peer; other: Peer; ledger: TreeLedger }) => Promise<void>,
): LedgerCase {
  const opened = async (ledger: TreeLedger, { openPeer }: Required<LedgerHarness>) => {
    const other = await openPeer(ledger)
    try {
      await run({ one: peerOf(ledger), other, ledger })
    } finally {
      await other.close()
    }
  }
  return { id: `two.${id}`, title: `two handles: ${title}`, why, needs: 'openPeer', run: opened }
}

/** Both at once. */
async function atOnce(
  { one, other }: { one: Peer; other: Peer },
  steps: (handle: string) => Step[],
): Promise<Done[][]> {
  return Promise.all([one.run(steps('one')), other.run(steps('other'))])
}

/** What holds between two handles on one store, most often of two processes. */
export const TWO_HANDLES_CASES: readonly LedgerCase[] = [
  twoHandles(
    'plans',
    'a plan in one sees the commit of the other',
    'A plan that decides over rows of another time takes a blob that a key of the other process was just bound to.',
    async ({ other, ledger }) => {
      for (const i of MANY) {
        await other.run([['put', 'k', `${i}`]])
        const { value } = await ledger.transact((tx) => {
          const found = get(tx, 'k')
          put(tx, 'k', 'ours')
          return found
        })
        equal(value, `${i}`)
        deepEqual(await other.rows(), ['k=ours'])
      }
    },
  ),
  twoHandles(
    'looks',
    'a look sees all that the other committed before the call',
    'Who was told that a put is done asks another process, and is told that there is nothing.',
    async ({ other, ledger }) => {
      await ledger.transact((tx) => put(tx, 'ours', '0'))
      for (const i of MANY) {
        await other.run([['put', 'k', `${i}`]])
        deepEqual(await all(ledger), [`k=${i}`, 'ours=0'])
      }
    },
  ),
  twoHandles(
    'rows',
    '40 increments of one row at once lose none',
    'Plans that do not conflict across processes lose updates as soon as a second process serves the store.',
    async (both) => {
      await atOnce(both, () => MANY.map((): Step => ['increment', 'n']))
      deepEqual(await both.other.rows(), ['n=40'])
    },
  ),
  twoHandles(
    'ranges',
    'of plans at once that take the first place of an empty range one takes it',
    'A put in one process and a deletion in the other each see no other key: the bytes are gone, and the key is bound.',
    async (both) => {
      const taken = await atOnce(both, (name) => MANY.map((i): Step => ['takeFirst', `p${i}`, name]))
      const winners = MANY.map((i) => taken.filter((done) => done[i]?.value === true).length)
      deepEqual(
        winners,
        MANY.map(() => 1),
      )
    },
  ),
  twoHandles(
    'claims',
    'each job that hints name is claimed once',
    'Two workers write one object at the same time.',
    async (both) => {
      await both.one.run(MANY.map((i): Step => ['put', `job/${i}`, 'waiting']))
      const claims = (await atOnce(both, () => MANY.map((): Step => ['claim']))).flat()
      const keys = claims.flatMap(({ value }) => value ?? [])
      equal(new Set(keys).size, keys.length)
      const running = (await both.one.rows()).filter((row) => row.endsWith('=running'))
      equal(running.length, keys.length)
    },
  ),
  twoHandles(
    'events',
    'both number their events, each once, and read one log',
    'A follower that saved a position of the other process misses events, or is told them twice.',
    async (both) => {
      const done = await atOnce(both, (name) => MANY.map((i): Step => ['record', `${name}.${i}`]))
      const log = await both.other.events()
      deepEqual(await recorded(both.ledger), log)
      for (const [i, name] of ['one', 'other'].entries()) {
        const own = log.filter(({ key }) => key.startsWith(`${name}.`))
        deepEqual(
          own,
          MANY.map((n) => ({ key: `${name}.${n}`, position: done[i]?.[n]?.position })),
        )
      }
      equal(new Set(log.map(({ position }) => position)).size, 2 * MANY.length)
      const behind = await recorded(both.ledger, log[7]?.position)
      deepEqual(behind, log.slice(8))
    },
  ),
  twoHandles(
    'tickets',
    'plans that write have tickets of their own',
    'Leases are named by tickets: two jobs would have one, and a worker would settle the job of another.',
    async (both) => {
      const done = (await atOnce(both, (name) => MANY.map((i): Step => ['put', `${name}.${i}`, '']))).flat()
      equal(new Set(done.map(({ ticket }) => ticket)).size, 2 * MANY.length)
    },
  ),
]
