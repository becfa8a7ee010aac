// Opens the demo's store again, in a separate process, and reads everything back: node reopen.ts DIRECTORY
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Config, openDemoStore } from './stores.ts'
import { type Expected, readBack } from './verify.ts'

/** Its input, in DIRECTORY/reopen.json. */
export interface Task {
  readonly config: Config
  readonly expected: readonly Expected[]
}

/** Its output. */
export interface Reopened {
  /** Until the store was open and a first blob was read. */
  readonly milliseconds: number
  readonly counts: Record<string, number>
  readonly differences: string[]
}

const directory = process.argv[2] as string
const { config, expected } = JSON.parse(readFileSync(join(directory, 'reopen.json'), 'utf8')) as Task
const smallest = expected.reduce((least, file) => (file.size < least.size ? file : least))

const began = performance.now()
await using store = await openDemoStore(config)
await store.get(smallest.key)
const milliseconds = performance.now() - began
const { counts, differences } = await readBack(store, config.backends, expected, 'reopened, read back')
process.send?.({ milliseconds, counts, differences } satisfies Reopened)
