// Puts, gets and reopens while system calls fail: node victim.ts DIRECTORY
import { once } from 'node:events'
import { writeSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { StorageError } from '@stored/core/backend'
import { KEYS, MESSAGES_FD, type Message, type Outcome } from './protocol.ts'
import { bytesOf, openInjectStore, type Store } from './store.ts'

/** How long a job may take until its first end. */
const JOB_MS = 500

const [directory] = process.argv.slice(2) as [string]
const outcomes: Outcome[] = []

process.on('unhandledRejection', (reason) => tell({ type: 'unhandled', error: `rejection: ${describe(reason)}` }))
process.on('uncaughtException', (error) => tell({ type: 'unhandled', error: `exception: ${describe(error)}` }))

const store = await openInjectStore(directory)
let ended = 0
for (const type of ['sync:complete', 'sync:retry', 'sync:error'] as const) store.on(type, () => ended++)
tell({ type: 'ready' })
await once(process.stdin, 'data')
process.stdin.destroy()

for (const key of KEYS) await attempt(`put ${key}`, () => store.put(slowly(bytesOf(key)), { key }))
await read(store)
const acknowledged = outcomes.filter(({ call, code }) => call.startsWith('put') && code === undefined).length
const patience = performance.now() + JOB_MS
while (ended < acknowledged && performance.now() < patience) await setTimeout(5)
await attempt('close', () => store.close())
const reopened = await attempt('open', () => openInjectStore(directory))
if (reopened) {
  await read(reopened)
  await attempt('close', () => reopened.close())
}
tell({ type: 'done', outcomes })

async function read(opened: Store): Promise<void> {
  for (const key of KEYS)
    await attempt(`get ${key}`, async () => {
      const bytes = await opened.get(key)
      if (!bytes.equals(bytesOf(key))) throw new Error('wrong bytes')
    })
}

async function attempt<T>(call: string, action: () => Promise<T>): Promise<T | undefined> {
  try {
    const result = await action()
    outcomes.push({ call })
    return result
  } catch (error) {
    outcomes.push({ call, code: StorageError.is(error) ? error.code : null, message: describe(error) })
    return undefined
  }
}

/** In several chunks, so that a file is written by several calls. */
async function* slowly(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let offset = 0; offset < bytes.length; offset += 80_000) yield bytes.subarray(offset, offset + 80_000)
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause === undefined ? error.message : `${error.message} (${describe(error.cause)})`
}

function tell(message: Message): void {
  writeSync(MESSAGES_FD, `${JSON.stringify(message)}\n`)
}
