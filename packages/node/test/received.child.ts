import path from 'node:path'
import { openStore } from '@stored/node'

// Commits some received bytes, each with a row of its own, and holds others; says what was acknowledged, until it is killed.
const [directory, name] = process.argv.slice(2) as [string, string]
const store = await openStore({
  path: path.join(directory, 'store'),
  backends: { a: { driver: 'fs', root: path.join(directory, 'a') } },
  sync: false,
})
const extension = store.extension('names')
const names = extension.table<{ id: string }>('names')
await store.receive(Buffer.alloc(300_000, `held by ${name}`))
for (let i = 0; ; i++) {
  const key = `${name}-${i}`
  // Small ones are part of the commit, large ones a file.
  const received = await store.receive(Buffer.alloc(i % 2 === 0 ? 100 : 100_000, key))
  await store.commit(received, { key, also: (tx) => names.put(tx, key, { id: received.id }) })
  console.log(key)
}
