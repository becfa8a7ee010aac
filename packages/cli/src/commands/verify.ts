import type { StoreD, VerifyResult } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import { tellBackendLog } from '../backends/backend-log.ts'
import { VerifyCursor } from '../copies/verify-cursor.ts'
import { EXIT, type ExitCode } from '../errors/exit-codes.ts'
import { usage } from '../errors/fault.ts'
import { bytes, count } from '../output/format.ts'
import { loadConfiguration } from '../session/configuration.ts'
import type { Context } from '../session/context.ts'
import { openConfigured } from '../session/open-session.ts'
import type { Outcome } from '../session/outcome.ts'

/** A killed process rereads at most this many copies. */
const KEEP_EVERY = 256

interface Counts {
  checked: number
  bad: number
  unread: number
  bytes: number
}

export async function run(context: Context): Promise<Outcome> {
  const { input, out, signal } = context
  const [prefix] = input.args
  const backend = input.text('backend')
  const sample = sampleOf(input.text('sample'))
  const loaded = await loadConfiguration(context)
  await using store = await openConfigured(loaded, { sync: false })
  tellBackendLog(store, out)
  const cursor = new VerifyCursor(loaded.config, { backend, prefix, sample })
  const after = input.has('resume') ? await cursor.read() : null
  if (input.has('resume') && after === null)
    out.note('no matching verification was interrupted: starting from the beginning')
  const scope = {
    ...(prefix !== undefined && { prefix }),
    ...(backend !== undefined && { backend }),
    ...(sample && { sample }),
  }
  const counts: Counts = { checked: 0, bad: 0, unread: 0, bytes: 0 }
  let last = after
  let isWhole = false
  try {
    for await (const copy of store.verify({ ...scope, ...(after !== null && { after }), signal })) {
      await tell(context, copy, counts)
      last = copy.cursor
      if ((counts.checked + counts.unread) % KEEP_EVERY === 0) await cursor.write(last)
    }
    isWhole = true
  } finally {
    if (isWhole) await cursor.clear()
    else if (last !== null) await cursor.write(last)
  }
  const { checked, bad, unread } = counts
  const isNothing = checked + unread === 0 && after === null
  if (isNothing && prefix !== undefined && !(await isAny(store, prefix, { backend, sample, signal })))
    throw new StorageError('NOT_FOUND', { op: 'verify', key: prefix }, { detail: 'no copy has a key with this prefix' })
  const text = `${count(checked, 'copy', 'copies')} read, ${bytes(counts.bytes)}; ${bad} bad, ${unread} could not be read`
  return { exit: exitOf(counts), text, summary: { ...counts } }
}

/** Whether any key has the prefix although no copy was read: copies may still be pending, or outside the sample. */
async function isAny(
  store: StoreD,
  prefix: string,
  { backend, sample, signal }: { backend: string | undefined; sample: number | undefined; signal: AbortSignal },
): Promise<boolean> {
  const scope = { prefix, ...(backend !== undefined && { backend }), signal }
  for await (const _ of store.list({ ...scope, missing: true, limit: 1 })) return true
  if (sample !== undefined) for await (const _ of store.verify(scope)) return true
  return false
}

async function tell({ out }: Context, copy: VerifyResult, counts: Counts): Promise<void> {
  await out.record({ type: 'verify', ...copy })
  const place = `${copy.backend}${copy.key === null ? '' : `  ${copy.key}`}`
  if (!copy.checked) {
    counts.unread++
    await out.line(`unread   ${place}  ${copy.error?.message ?? ''}`)
    return
  }
  counts.checked++
  counts.bytes += copy.size
  if (copy.state !== 'synced') counts.bad++
  if (copy.state !== 'synced' || out.isVerbose) await out.line(`${copy.state.padEnd(8)} ${place}`)
  out.progress.show({ title: 'verify', done: counts.bytes, note: place })
}

function exitOf({ bad, unread }: Counts): ExitCode {
  if (bad > 0) return EXIT.integrity
  return unread > 0 ? EXIT.temporary : EXIT.ok
}

function sampleOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const sample = /^\d+(\.\d+)?%$/.test(text) ? Number(text.slice(0, -1)) / 100 : Number.NaN
  if (sample > 0 && sample <= 1) return sample
  throw usage(`--sample takes a percentage such as 5%, above 0% and up to 100%, not ${JSON.stringify(text)}`)
}
