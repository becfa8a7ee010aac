// Works on the store until it is killed: node victim.ts DIRECTORY WORK.json
import { readFileSync, writeSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { bytesOf, type Content, makeContent } from './content.ts'
import { type Bound, type Call, MESSAGES_FD, type Message, type Work } from './protocol.ts'
import { Random } from './random.ts'
import { openKillStore, placesIn } from './stores.ts'

const KEYS_PER_WORKER = 12
const CHUNK = 32 * 1024

const [directory, file] = process.argv.slice(2) as [string, string]
const { seed, bindings, workers } = JSON.parse(readFileSync(file, 'utf8')) as Work

/** Recently stored contents: the same bytes come again under other keys. */
const recent: Content[] = Object.values(bindings).map(contentOf)
let calls = 0

const store = await openKillStore(placesIn(directory))
for (const type of ['sync:start', 'sync:complete', 'sync:retry'] as const)
  store.on(type, ({ backend, key }) =>
    tell({ type: type === 'sync:start' ? 'sync:start' : 'sync:end', place: `${backend}/${key}` }),
  )
store.on('sync:error', ({ backend, key, error }) =>
  tell({ type: 'parked', place: `${backend}/${key}`, error: error.message }),
)
tell({ type: 'open' })
await Promise.all(Array.from({ length: workers }, (_, i) => work(i)))
// Without work it syncs; either way it ends by being killed.
setInterval(() => {}, 1000)

/** Keys are not shared, so that at most one call for each is in progress. */
async function work(worker: number): Promise<void> {
  const random = new Random(`${seed} ${worker}`)
  const bound = new Map(Object.entries(bindings).filter(([key]) => key.startsWith(`worker-${worker}/`)))
  while (true) {
    const call = chooseCall(random, worker, bound)
    if (!(await run(call, random))) continue
    if (call.op === 'delete') bound.delete(call.key)
    else bound.set(call.key, { ...call.content, note: call.note })
  }
}

function chooseCall(random: Random, worker: number, bound: ReadonlyMap<string, Bound>): Call {
  const key = `worker-${worker}/key-${random.below(KEYS_PER_WORKER)}`
  const now = bound.get(key)
  const dice = random.below(10)
  if (dice < 2 && now) return { op: 'delete', key }
  const note = `${seed} ${worker} ${calls}`
  if (dice < 3 && now) return { op: 'put', key, content: contentOf(now), note }
  if (dice < 5 && recent.length > 0) return { op: 'put', key, content: random.pick(recent), note }
  const content = makeContent(random, note)
  recent.push(content)
  if (recent.length > 50) recent.shift()
  return { op: 'put', key, content, note }
}

function contentOf({ note: _, ...content }: Bound): Content {
  return content
}

/** @returns Whether it was acknowledged. */
async function run(call: Call, random: Random): Promise<boolean> {
  const n = calls++
  tell({ type: 'intent', n, call })
  try {
    if (call.op === 'delete') {
      await store.delete(call.key)
      tell({ type: 'ack', n })
    } else tell({ type: 'ack', n, id: await put(n, call, random) })
    return true
  } catch (error) {
    tell({ type: 'failed', n, error: (error as Error).message })
    return false
  }
}

async function put(n: number, { key, content, note }: Extract<Call, { op: 'put' }>, random: Random): Promise<string> {
  const bytes = bytesOf(content)
  // Half of them from memory, half as a slow stream.
  const source = random.below(2) === 0 ? bytes : slowly(bytes)
  const { id } = await store.put(source, {
    key,
    metadata: { [key]: note },
    onProgress: (progress) => {
      if (progress.bytes === content.size) tell({ type: 'read', n })
    },
  })
  return id
}

async function* slowly(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let offset = 0; offset < bytes.length; offset += CHUNK) {
    await setImmediate()
    yield bytes.subarray(offset, offset + CHUNK)
  }
}

function tell(message: Message): void {
  writeSync(MESSAGES_FD, `${JSON.stringify(message)}\n`)
}
