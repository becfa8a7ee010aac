import path from 'node:path'
import { ALGORITHMS, type Algorithm, type KeyMatch, type PutResult, type StoreD } from '@stored/core'
import { isId } from '@stored/core/backend'
import { tellBackendLog } from '../backends/backend-log.ts'
import { EXIT, type ExitCode, firstFailure } from '../errors/exit-codes.ts'
import { describeFault, usage } from '../errors/fault.ts'
import { inOrder } from '../files/in-order.ts'
import { type PutSource, type Skipped, sourcesOf } from '../files/sources.ts'
import { settle } from '../jobs/settle.ts'
import { bytes, count } from '../output/format.ts'
import type { Output } from '../output/output.ts'
import { Batch } from '../session/batch.ts'
import { type LoadedConfig, loadConfiguration } from '../session/configuration.ts'
import type { Context } from '../session/context.ts'
import { openConfigured } from '../session/open-session.ts'
import type { Outcome } from '../session/outcome.ts'

/** Puts that commit together share one flush. */
const AT_A_TIME = 8

/** Up to this many keys are waited for by name; the rest by the time they were queued. */
const MOST_KEYS = 10_000

interface Totals {
  /** Keys of blobs that are not on every backend yet. */
  readonly pending: string[]
  bytes: number
  isNew: number
  /** Bytes read so far, including puts in flight. */
  read: number
  expected: number | undefined
}

export async function run(context: Context): Promise<Outcome> {
  const { input, dryRun } = context
  const loaded = await loadConfiguration(context)
  const wait = !input.has('no-wait') && !dryRun
  const options = optionsOf(context, loaded)
  await using store = await openConfigured(loaded, { sync: wait })
  tellBackendLog(store, context.out)
  const isOurs = ownDirectories(loaded)
  const batch = new Batch(context.out)
  const totals: Totals = { pending: [], bytes: 0, isNew: 0, read: 0, expected: undefined }
  totals.expected = context.out.progress.isLive ? await measure(context, isOurs) : undefined
  const since = Date.now()
  const putNext = (source: PutSource | Skipped) => putOne(store, source, options, context, totals)
  for await (const result of inOrder(sourcesOf(input, isOurs), dryRun ? 1 : AT_A_TIME, putNext))
    await tell(result, context, batch, totals)
  context.signal.throwIfAborted()
  context.out.progress.end()
  const settled: ExitCode =
    wait && batch.done > 0 ? await settle(store, context, { since, keys: totals.pending }) : EXIT.ok
  return outcomeOf(context, batch, totals, firstFailure(batch.exit, settled))
}

interface Options {
  readonly backends: readonly string[]
  readonly metadata?: Record<string, string | null>
  readonly replaceMetadata?: true
  readonly ifMatch?: KeyMatch
  readonly ifAbsent?: true
  readonly checksums?: readonly Algorithm[]
}

function optionsOf({ input }: Context, { config }: LoadedConfig): Options {
  const named = input.texts('backend')
  const fields = Object.entries(input.fields('meta'))
  const metadata = Object.fromEntries(fields.map(([name, value]) => [name, value === '' ? null : value]))
  const match = input.text('if-match')
  return {
    backends: named.length > 0 ? named : (config.defaultBackends ?? Object.keys(config.backends)),
    ...(Object.keys(metadata).length > 0 && { metadata }),
    ...(input.has('replace-meta') && { replaceMetadata: true }),
    ...(match !== undefined && { ifMatch: isId(match) ? match : { version: match } }),
    ...(input.has('if-absent') && { ifAbsent: true }),
    checksums: input.texts('checksum').map(checksumOf),
  }
}

function checksumOf(name: string): Algorithm {
  const algorithm = ALGORITHMS.find((known) => known === name)
  if (algorithm) return algorithm
  throw usage(
    `--checksum takes ${ALGORITHMS.slice(0, -1).join(', ')} or ${ALGORITHMS.at(-1)}, not ${JSON.stringify(name)}`,
  )
}

type Result = { readonly from: string } & (
  | { readonly put: PutResult }
  | { readonly plan: { key: string | null; size: number | null; replaces: string | null; backends: readonly string[] } }
  | { readonly error: unknown; readonly isOwn?: true | undefined }
)

async function putOne(
  store: StoreD,
  source: PutSource | Skipped,
  options: Options,
  context: Context,
  totals: Totals,
): Promise<Result> {
  if ('error' in source) return source
  const { from, file, key, size = null } = source
  try {
    context.signal.throwIfAborted()
    if (context.dryRun) return { from, plan: { key: key ?? null, size, ...(await planOf(store, key, options)) } }
    let before = 0
    const put = await store.put(file ?? process.stdin, {
      ...options,
      ...(key !== undefined && { key }),
      signal: context.signal,
      onProgress: ({ bytes: now }) => {
        totals.read += now - before
        before = now
        context.out.progress.show({ title: 'put', done: totals.read, total: totals.expected, note: from })
      },
    })
    return { from, put }
  } catch (error) {
    return { from, error }
  }
}

async function planOf(store: StoreD, key: string | undefined, { backends }: Options) {
  const known = key === undefined ? null : await store.stat(key)
  return { replaces: known?.id ?? null, backends }
}

async function tell(result: Result, { out, signal }: Context, batch: Batch, totals: Totals): Promise<void> {
  const { from } = result
  if ('error' in result) {
    if (result.isOwn) await tellOwn(result, out)
    else if (!signal.aborted) await batch.fault(result.error, from)
    return
  }
  batch.done++
  if ('plan' in result) {
    const { key, replaces, backends } = result.plan
    const what = replaces === null ? '' : ', replacing another blob'
    const text = `would put ${from} as ${key ?? 'its checksum'} on ${backends.join(', ')}${what}`
    totals.bytes += result.plan.size ?? 0
    await out.tell({ type: 'plan', action: 'put', source: from, ...result.plan }, text)
    return
  }
  const { key, id, size, mimeType, checksums, isNew, locations } = result.put
  totals.bytes += size
  if (isNew) totals.isNew++
  const isPending = locations.some(({ state }) => state === 'pending')
  if (isPending && totals.pending.length < MOST_KEYS) totals.pending.push(key)
  const backends = locations.map(({ backend }) => backend)
  await out.record({ type: 'put', source: from, key, id, size, mimeType, checksums, isNew, backends })
  await out.exact(`${id}  ${key}`)
}

async function tellOwn({ from, error }: { from: string; error: unknown }, out: Output): Promise<void> {
  const { message } = describeFault(error)
  await out.record({ type: 'skipped', source: from, message })
  out.note(`${from}: ${message}`)
}

async function measure({ input }: Context, isOurs: (directory: string) => boolean): Promise<number | undefined> {
  let total = 0
  for await (const source of sourcesOf(input, isOurs)) {
    if ('error' in source) continue
    if (source.size === undefined) return undefined
    total += source.size
  }
  return total
}

/** Storing the store's own directory or its backends' roots would never end. */
function ownDirectories({ config }: LoadedConfig): (directory: string) => boolean {
  const roots = Object.values(config.backends).map((backend) => (backend as { root?: unknown }).root)
  const own = new Set(
    [config.path, ...roots.filter((root) => typeof root === 'string')].map((one) => path.resolve(one)),
  )
  return (directory) => own.has(path.resolve(directory))
}

function outcomeOf({ dryRun }: Context, batch: Batch, totals: Totals, exit: ExitCode): Outcome {
  const { done, failed } = batch
  const what = dryRun ? 'would put' : 'put'
  const more = failed === 0 ? '' : `, ${count(failed, 'failure')}`
  return {
    exit,
    ...((done + failed !== 1 || dryRun) && {
      text: `${what} ${count(done, 'blob')}, ${bytes(totals.bytes)}${more}`,
    }),
    summary: { done, failed, bytes: totals.bytes, ...(!dryRun && { isNew: totals.isNew }) },
  }
}
