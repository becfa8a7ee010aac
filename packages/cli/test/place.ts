import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { StoreD } from '@stored/core'
import { openStore, type StoreConfig } from '@stored/node'
import { temporaryDirectory } from '@stored/testing/directory'
import { type Ran, type Running, type RunOptions, recordsOf, run, start } from './run.ts'

/** A directory with a configuration, in which to run the program. */
export interface Place extends AsyncDisposable {
  readonly path: string
  /** Runs a command there. */
  stored(...args: string[]): Promise<Ran>
  /** The same with other options. */
  run(args: readonly string[], options: Partial<RunOptions>): Promise<Ran>
  /** The same with `--json`. */
  json(...args: string[]): Promise<{ code: number | null; records: ReturnType<typeof recordsOf>; stderr: string }>
  start(...args: string[]): Running
  file(name: string, content: string | Uint8Array): Promise<string>
  /** Opens the store here, in this process, for the duration of `use`. */
  open<T>(use: (store: StoreD) => Promise<T>): Promise<T>
}

/** A place without a store. */
export async function emptyPlace(): Promise<Place> {
  const made = await temporaryDirectory()
  const directory = made.path
  const ran = (args: readonly string[], options: Partial<RunOptions>) => run(args, { cwd: directory, ...options })
  return {
    path: directory,
    stored: (...args) => ran(args, {}),
    run: ran,
    json: async (...args) => {
      const { code, stdout, stderr } = await ran([...args, '--json'], {})
      return { code, records: recordsOf({ stdout }), stderr }
    },
    start: (...args) => start(args, { cwd: directory }),
    file: async (name, content) => {
      const file = path.join(directory, name)
      await mkdir(path.dirname(file), { recursive: true })
      await writeFile(file, content)
      return file
    },
    open: async (use) => {
      await using store = await openStore(configAt(directory))
      return await use(store)
    },
    [Symbol.asyncDispose]: () => made[Symbol.asyncDispose](),
  }
}

/** A place with a store that has two folders, `a` and `b`, as backends. */
export async function place(): Promise<Place> {
  const made = await emptyPlace()
  const backends = { a: { driver: 'fs', root: 'a' }, b: { driver: 'fs', root: 'b' } }
  await made.file('stored.config.json', JSON.stringify({ path: '.stored', backends }))
  await made.open(async () => {})
  return made
}

function configAt(directory: string): StoreConfig {
  return {
    path: path.join(directory, '.stored'),
    backends: {
      a: { driver: 'fs', root: path.join(directory, 'a') },
      b: { driver: 'fs', root: path.join(directory, 'b') },
    },
  }
}

/** Puts text under keys and waits until both backends have it. */
export async function fill(place: Place, blobs: Readonly<Record<string, string>>): Promise<void> {
  await place.open(async (store) => {
    for (const [key, content] of Object.entries(blobs)) await store.put(Buffer.from(content), { key })
    await store.synced()
  })
}
