// Opens the store of the demo again, in a process of its own, and reads everything back: node reopen.ts DIRECTORY
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { openDemoStore, placesIn } from './stores.ts'
import { type Expected, readBack } from './verify.ts'

/** What the demo is told. */
export interface Reopened {
  /** Until the store was open and a first blob was read. */
  readonly milliseconds: number
  readonly counts: Record<string, number>
  readonly differences: string[]
}

const directory = process.argv[2] as string
const expected = JSON.parse(readFileSync(join(directory, 'expected.json'), 'utf8')) as Expected[]
const smallest = expected.reduce((least, file) => (file.size < least.size ? file : least))

const began = performance.now()
await using store = await openDemoStore(placesIn(directory))
await store.get(smallest.key)
const milliseconds = performance.now() - began
const { counts, differences } = await readBack(store, expected, 'reopened, read back')
process.send?.({ milliseconds, counts, differences } satisfies Reopened)
