import { type Digest, digestFile, digestOf } from './digest.ts'
import { inFlight } from './in-flight.ts'
import type { Medium } from './media.ts'
import { Progress } from './progress.ts'
import { type Backend, type DemoStore, makeBackend, objectKey } from './stores.ts'
import { findFiles } from './survey.ts'

/** What was stored: a key, and the source's digest by node:crypto. */
export interface Expected extends Digest {
  readonly key: string
}

/** How many things were compared, by kind, and what differed. */
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

  /** Adds the results of another verdict. */
  add({ counts, differences }: Pick<Verdict, 'counts' | 'differences'>, prefix = ''): void {
    for (const [what, count] of Object.entries(counts)) this.counts[prefix + what] = count
    this.differences.push(...differences.map((difference) => prefix + difference))
  }
}

/** Reads every file back through the store, by key and by id, and from each backend, bypassing staging. */
export async function readBack(
  store: DemoStore,
  backends: readonly Backend[],
  expected: readonly Expected[],
  title: string,
): Promise<Verdict> {
  const verdict = new Verdict()
  const blobs = distinct(expected)
  const progress = new Progress(title, expected.length * (1 + backends.length) + blobs.size)
  const read = async (what: string, file: Expected, name: string, backend?: string): Promise<void> => {
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
    for (const { name } of backends) await read(`from ${name}`, file, file.key, name)
  })
  await inFlight(8, blobs.values(), (file) => read('by id', file, `sha256:${file.sha256}`))
  await checkList(store, expected, verdict)
  progress.end()
  return verdict
}

/** What was found on the backends without going through the store. */
export interface Found {
  readonly verdict: Verdict
  /** The size of all blobs there, by backend. */
  readonly bytes: Readonly<Record<string, number>>
  /** Files in folders that a driver was writing when it could no longer remove them. */
  readonly temporary: number
}

/** An object on a backend. */
interface Lying {
  readonly key: string
  read(): Promise<Digest>
}

/** Checks every object of every backend without the store: walks folders, and asks servers with a separate driver. */
export async function readMedia(media: readonly Medium[], expected: readonly Expected[]): Promise<Found> {
  const verdict = new Verdict()
  const bytes: Record<string, number> = {}
  let temporary = 0
  const wanted = media.map(({ backend }) => wantedOn(backend, expected))
  const progress = new Progress(
    'without the store',
    wanted.reduce((sum, { size }) => sum + size, 0),
  )
  for (const [i, medium] of media.entries()) {
    const { name } = medium.backend
    const missing = new Map(wanted[i])
    bytes[name] = 0
    const look = medium.folder === undefined ? askServer : walkFolder
    temporary += await look(medium, async ({ key, read }) => {
      const file = missing.get(key)
      missing.delete(key)
      const found = await read()
      bytes[name] = (bytes[name] ?? 0) + found.size
      if (file) verdict.compare(`without the store, ${name}`, key, found, file)
      else verdict.differences.push(`without the store, ${name}: ${key} was never stored`)
      progress.add(1)
    })
    for (const key of missing.keys()) verdict.differences.push(`without the store, ${name}: ${key} is missing`)
  }
  progress.end()
  return { verdict, bytes, temporary }
}

/** The expected objects on a backend, by the key that they have there. */
export function wantedOn({ layout }: Backend, expected: readonly Expected[]): Map<string, Expected> {
  return new Map(expected.map((file) => [layout === 'id' ? objectKey(file.sha256) : file.key, file]))
}

/** @returns How many temporary files there were. */
async function walkFolder({ folder = '' }: Medium, onFound: (found: Lying) => Promise<void>): Promise<number> {
  const { files } = await findFiles(folder)
  const blobs = files.filter(({ key }) => !key.startsWith('.stored/'))
  await inFlight(8, blobs, ({ path, key }) => onFound({ key, read: () => digestFile(path) }))
  return files.filter(({ key }) => key.startsWith('.stored/tmp/')).length
}

/** With a fresh instance of the driver. */
async function askServer({ backend }: Medium, onFound: (found: Lying) => Promise<void>): Promise<number> {
  const { signal } = new AbortController()
  const client = makeBackend(backend)
  await client.open?.({ log: () => {} })
  try {
    const keys = await Array.fromAsync(client.list({ prefix: '', signal }), ({ key }) => key)
    const read = async (key: string): Promise<Digest> => digestOf((await client.get(key, { signal })).body)
    await inFlight(8, keys, (key) => onFound({ key, read: () => read(key) }))
  } finally {
    await client.close?.()
  }
  return 0
}

/** One file for each blob. */
export function distinct(expected: readonly Expected[]): Map<string, Expected> {
  return new Map(expected.map((file) => [file.sha256, file]))
}

async function checkList(store: DemoStore, expected: readonly Expected[], verdict: Verdict): Promise<void> {
  const byKey = new Map(expected.map((file) => [file.key, file]))
  for await (const { key, size, id } of store.list()) {
    const file = byKey.get(key)
    if (file) verdict.compare('in the list', key, { size, sha256: id.slice('sha256:'.length) }, file)
    else verdict.differences.push(`in the list: ${key} was never stored`)
    byKey.delete(key)
  }
  for (const key of byKey.keys()) verdict.differences.push(`in the list: ${key} is missing`)
}

function describe({ sha256, size }: Digest): string {
  return `${sha256.slice(0, 12)}… (${size} bytes)`
}
