import { digestFile } from './digest.ts'
import { bytes } from './format.ts'
import { inFlight } from './in-flight.ts'
import type { Medium } from './media.ts'
import { Outage } from './outage.ts'
import { Progress } from './progress.ts'
import type { Backend, Config, DemoStore } from './stores.ts'
import type { Skipped, SourceFile } from './survey.ts'
import { type Expected, wantedOn } from './verify.ts'

/** Errors that say a file cannot be stored. Any other error ends the demo. */
const REFUSALS: ReadonlySet<unknown> = new Set(['INVALID_KEY', 'PERMISSION_DENIED', 'NOT_FOUND', 'SOURCE_CHANGED'])

export interface Stored {
  readonly expected: Expected[]
  readonly skipped: Skipped[]
  /** Until everything was acknowledged. */
  readonly putMs: number
  /** Until everything was on all backends. */
  readonly syncedMs: number
  readonly retries: number
}

/** Puts all files, with an outage of `failing` in the middle, and waits until all backends have everything. */
export async function storeAll(
  store: DemoStore,
  { backends }: Config,
  failing: Medium,
  files: readonly SourceFile[],
): Promise<Stored> {
  const { name } = failing.backend
  const total = files.reduce((sum, { size }) => sum + size, 0)
  const putting = new Progress('put, durable', total, bytes)
  const outage = new Outage(failing, files.length, (isAway) =>
    putting.note(isAway ? `"${name}" is away` : `"${name}" is back`),
  )
  let synced = 0
  const copies = { onSynced: () => {} }
  store.on('sync:complete', ({ backend }) => {
    synced++
    if (backend === name) outage.countCopy()
    copies.onSynced()
  })
  store.on('sync:retry', ({ backend }) => backend === name && outage.countFailure())
  const skipped: Skipped[] = []
  const expected = new Map<string, Expected>()
  const began = performance.now()
  await inFlight(16, files, async (file) => {
    const kept = await putOne(store, file, (count) => putting.add(count))
    if ('why' in kept) skipped.push(kept)
    else expected.set(file.key, kept)
    outage.countPut()
  })
  const putMs = performance.now() - began
  // It may have no more jobs: then nothing could fail.
  const nothingOwed = store.synced(undefined, { backends: [name] }).then(() => outage.end())
  await Promise.race([outage.over(), nothingOwed])
  await outage.over()
  putting.end()
  const syncing = new Progress('copies', copiesOf([...expected.values()], backends))
  syncing.add(synced)
  copies.onSynced = () => syncing.add(1)
  await store.synced()
  const syncedMs = performance.now() - began
  syncing.end()
  // In the order of the folder, whatever the order of acknowledgement.
  const inOrder = files.flatMap(({ key }) => expected.get(key) ?? [])
  return { expected: inOrder, skipped, putMs, syncedMs, retries: outage.failures }
}

/** The total number of copies, over all backends. */
function copiesOf(expected: readonly Expected[], backends: readonly Backend[]): number {
  return backends.reduce((sum, backend) => sum + wantedOn(backend, expected).size, 0)
}

async function putOne(
  store: DemoStore,
  { path, key, sha256, size }: SourceFile,
  onRead: (count: number) => void,
): Promise<Expected | Skipped> {
  let read = 0
  try {
    const { checksums } = await store.put(path, {
      key,
      onProgress: (progress) => {
        onRead(progress.bytes - read)
        read = progress.bytes
      },
    })
    if (checksums.sha256 === sha256) return { key, sha256, size }
    // The file may have changed since its digest was taken; then the current digest counts.
    return { key, ...(await digestFile(path)) }
  } catch (error) {
    const { code, message } = error as Error & { code: string }
    if (!REFUSALS.has(code)) throw error
    return { name: key, why: message.slice(message.indexOf(code)) }
  }
}
