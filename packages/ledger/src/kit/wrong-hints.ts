import { requireFunction } from '../draft.ts'
import { nameOf } from '../key-name.ts'
import type { Range, Tree, TreeLedger, Writer } from '../ledger.ts'

type Rows = Map<string, [key: Buffer, value: Buffer]>

/**
 * `ledger`, whose hints are as wrong as they may be: rows of any earlier moment among those of now, and each of them twice.
 *
 * @param leavesOut Also leave out every second row. A claim may then come back empty though there is work.
 */
export function withWrongHints<L extends TreeLedger>(ledger: L, { leavesOut = false } = {}): L {
  const known = new Map<Tree, Rows>()
  const formerOf = (tree: Tree): Rows => {
    const rows = known.get(tree) ?? (new Map() as Rows)
    known.set(tree, rows)
    return rows
  }
  const wrong = (tx: Writer, seen: [Tree, Rows][]) => (tree: Tree, range: Range) => {
    const now = tx.hint(tree, range)
    seen.push([tree, new Map(now.map((row) => [nameOf(row[0]), row]))])
    const [from, to] = [nameOf(range.from), nameOf(range.to)]
    const former = [...formerOf(tree)].filter(([name]) => name >= from && name < to).map(([, row]) => row)
    const all = [...former.slice(0, 3), ...now, ...now].sort(([a], [b]) => Buffer.compare(a, b))
    return leavesOut ? all.filter((_, i) => (i + Number(tx.ticket)) % 2 === 0) : all
  }
  const transact: TreeLedger['transact'] = async (plan) => {
    requireFunction('a plan', plan)
    let seen: [Tree, Rows][] = []
    const done = await ledger.transact((tx) => {
      seen = []
      return plan(altered(tx, { hint: wrong(tx as never as Writer, seen) }))
    })
    // Not before: all runs of one plan are answered alike.
    for (const [tree, rows] of seen) for (const [name, row] of rows) formerOf(tree).set(name, row)
    return done
  }
  return altered(ledger, { transact })
}

/** `target`, of which some members are others. */
export function altered<T extends object>(target: T, others: object): T {
  return new Proxy(target, {
    get: (_, name) => {
      const value = Reflect.get(name in others ? others : target, name, name in others ? others : target)
      return typeof value === 'function' ? value.bind(name in others ? others : target) : value
    },
  })
}
