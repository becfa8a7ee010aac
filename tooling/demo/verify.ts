import { type Digest, digestFile, digestOf } from './digest.ts'
import { inFlight } from './in-flight.ts'
import { Progress } from './progress.ts'
import { BACKENDS, type BackendName, type DemoStore, type Places } from './stores.ts'
import { findFiles } from './survey.ts'

/** What was stored: a key, and the digest that node:crypto took of the source. */
export interface Expected extends Digest {
  readonly key: string
}

/** How many things were compared, by what was done, and what differed. */
export class Verdict {
  readonly counts: Record<string, number> = {}
  readonly differences: string[] = []

  compare(what: string, name: string, found: Digest | null, expected: Digest): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1
    if (found?.sha256 !== expected.sha256 || found.size !== expected.size)
      this.differences.push(
        `${what}: ${name} ${found ? `has ${describe(found)}` : 'is missing'}, not ${describe(expected)}`,
      )
  }

  /** Takes over what another verdict says. */
  add({ counts, differences }: Pick<Verdict, 'counts' | 'differences'>, prefix = ''): void {
    for (const [what, count] of Object.entries(counts)) this.counts[prefix + what] = count
    this.differences.push(...differences.map((difference) => prefix + difference))
  }
}

/** Reads every file back through the store, by key and by id, and from each backend, past staging. */
export async function readBack(store: DemoStore, expected: readonly Expected[], title: string): Promise<Verdict> {
  const verdict = new Verdict()
  const blobs = distinct(expected)
  const progress = new Progress(title, expected.length * (1 + BACKENDS.length) + blobs.size)
  const read = async (what: string, file: Expected, name: string, backend?: BackendName): Promise<void> => {
    const found = await digestOf(await store.get(name, { stream: true, ...(backend && { backend }) })).catch(
      (error: Error) => {
        verdict.differences.push(`${what}: ${file.key}: ${error.message}`)
        return null
      },
    )
    if (found) verdict.compare(what, file.key, found, file)
    progress.add(1)
  }
  await inFlight(8, expected, async (file) => {
    await read('by key', file, file.key)
    for (const backend of BACKENDS) await read(`from ${backend}`, file, file.key, backend)
  })
  await inFlight(8, blobs.values(), (file) => read('by id', file, `sha256:${file.sha256}`))
  await checkList(store, expected, verdict)
  progress.end()
  return verdict
}

/** What an independent look at the folders of the backends found. */
export interface OnDisk {
  readonly verdict: Verdict
  /** Of all blobs there. */
  readonly bytes: Readonly<Record<BackendName, number>>
  /** Files that a driver was writing when it could no longer remove them. */
  readonly temporary: number
}

/** Walks the folders of the backends without StoreD, and takes the digest of every file. */
export async function readFolders(places: Places, expected: readonly Expected[]): Promise<OnDisk> {
  const verdict = new Verdict()
  const wanted = {
    folder: new Map(expected.map((file) => [file.key, file])),
    vault: new Map([...distinct(expected).values()].map((file) => [objectKey(file.sha256), file])),
  }
  const bytes = { folder: 0, vault: 0 }
  let temporary = 0
  const progress = new Progress('walk of both folders', wanted.folder.size + wanted.vault.size)
  for (const backend of BACKENDS) {
    const missing = new Set(wanted[backend].keys())
    const { files } = await findFiles(places[backend])
    temporary += files.filter(({ key }) => key.startsWith('.stored/tmp/')).length
    const blobs = files.filter(({ key }) => !key.startsWith('.stored/'))
    await inFlight(8, blobs, async ({ path, key }) => {
      const file = wanted[backend].get(key)
      missing.delete(key)
      const found = await digestFile(path)
      bytes[backend] += found.size
      if (file) verdict.compare('on disk', `${backend}/${key}`, found, file)
      else verdict.differences.push(`on disk: ${backend}/${key} was never stored`)
      progress.add(1)
    })
    for (const key of missing) verdict.differences.push(`on disk: ${backend}/${key} is missing`)
  }
  progress.end()
  return { verdict, bytes, temporary }
}

/** One file for each blob. */
export function distinct(expected: readonly Expected[]): Map<string, Expected> {
  return new Map(expected.map((file) => [file.sha256, file]))
}

async function checkList(store: DemoStore, expected: readonly Expected[], verdict: Verdict): Promise<void> {
  const byKey = new Map(expected.map((file) => [file.key, file]))
  for await (const { key, size, checksums } of store.list()) {
    const file = byKey.get(key)
    if (file) verdict.compare('in the list', key, { size, sha256: checksums.sha256 }, file)
    else verdict.differences.push(`in the list: ${key} was never stored`)
    byKey.delete(key)
  }
  for (const key of byKey.keys()) verdict.differences.push(`in the list: ${key} is missing`)
}

/** Where a blob of layout `id` lies, as documented. */
function objectKey(sha256: string): string {
  return `blobs/sha256/${sha256.slice(0, 2)}/${sha256.slice(2, 4)}/${sha256}`
}

function describe({ sha256, size }: Digest): string {
  return `${sha256.slice(0, 12)}… (${size} bytes)`
}
