import { readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { type Dump, type RawRow, TREES, type Tree } from './rows.ts'
import type { StagedFiles } from './staging-rules.ts'

const FIRST = Buffer.alloc(0)
/** The longest key. */
const LAST = Buffer.alloc(1978, 0xff)

const PAGE = 500

/** Where rows are read from: a ledger. */
export interface RowSource {
  refresh(): void
  range(tree: Tree, range: { from: Uint8Array; to: Uint8Array; limit: number }): [key: Buffer, value: Buffer][]
}

/** All rows of a ledger, read in one turn of the event loop: a snapshot. */
export function dumpOf(source: RowSource): Dump {
  source.refresh()
  return Object.fromEntries(TREES.map((tree) => [tree, rowsOf(source, tree)])) as unknown as Dump
}

function rowsOf(source: RowSource, tree: Tree): RawRow[] {
  const rows: RawRow[] = []
  for (let from = FIRST; ; from = Buffer.concat([(rows.at(-1) as RawRow)[0], Buffer.of(0)])) {
    const page = source.range(tree, { from, to: LAST, limit: PAGE })
    rows.push(...page)
    if (page.length < PAGE) return rows
  }
}

/** The contents of a staging directory; its mark is not a staged file. */
export async function filesIn(directory: string, isStill: boolean): Promise<StagedFiles> {
  const names = (await readdir(directory)).filter((name) => !name.startsWith('.stored-id'))
  const sizes = await Promise.all(
    names.map(async (name): Promise<[string, number][]> => {
      // Gone in the meantime: its row was removed first.
      const found = await stat(path.join(directory, name)).catch(() => null)
      return found ? [[name, found.size]] : []
    }),
  )
  return { sizes: new Map(sizes.flat()), isStill }
}
