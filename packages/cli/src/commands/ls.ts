import type { ListEntry } from '@stored/core'
import { EXIT } from '../errors/exit-codes.ts'
import { usage } from '../errors/fault.ts'
import { bytes, count, shortId, time } from '../output/format.ts'
import { TreeView } from '../output/tree-view.ts'
import type { Context } from '../session/context.ts'
import { openSession } from '../session/open-session.ts'
import type { Outcome } from '../session/outcome.ts'

export async function run(context: Context): Promise<Outcome> {
  const { input, out, signal } = context
  if (input.has('long') && input.has('tree')) throw usage('--long and --tree exclude each other')
  const backend = input.text('backend')
  const limit = input.count('limit', 0) ?? Number.POSITIVE_INFINITY
  await using store = await openSession(context, { sync: false })
  const print = printerOf(context)
  let entries = 0
  let size = 0
  const options = {
    ...(backend !== undefined && { backend }),
    missing: input.has('missing'),
    internal: input.has('internal'),
    signal,
  }
  for await (const entry of limit === 0 ? [] : store.list({ prefix: input.args[0] ?? '', ...options })) {
    if (input.has('unsynced') && isSynced(entry)) continue
    await out.record({ type: 'entry', ...entry })
    await print.entry(entry)
    entries++
    size += entry.size
    if (entries >= limit) break
  }
  await print.end()
  const text = input.has('long') ? { text: `${count(entries, 'key')}, ${bytes(size)}` } : {}
  return { exit: EXIT.ok, ...text, summary: { entries, bytes: size } }
}

interface Printer {
  entry(entry: ListEntry): Promise<void>
  end(): Promise<void>
}

function printerOf({ input, out }: Context): Printer {
  if (input.has('tree')) {
    const tree = new TreeView()
    return {
      entry: async ({ key }) => {
        for (const line of tree.linesFor(key)) await out.exact(line)
      },
      end: async () => {},
    }
  }
  if (!input.has('long')) return { entry: ({ key }) => out.exact(key), end: async () => {} }
  const table = out.table([
    { title: 'size', align: 'right' },
    { title: 'modified (UTC)' },
    { title: 'copies' },
    { title: 'type' },
    { title: 'id' },
    { title: 'key' },
  ])
  return {
    entry: ({ key, id, size, mimeType, modified, locations }) => {
      const synced = locations.filter(({ synced }) => synced).length
      return table.row(bytes(size), time(modified), `${synced}/${locations.length}`, mimeType, shortId(id), key)
    },
    end: () => table.end(),
  }
}

function isSynced({ locations }: ListEntry): boolean {
  return locations.every(({ synced }) => synced)
}
