import path from 'node:path'
import { openStore } from '@stored/node'

// Opens the store in a directory, puts a blob and says so; keeps it open until stdin ends.
const [directory, key] = process.argv.slice(2) as [string, string]
try {
  await using store = await openStore({
    path: path.join(directory, 'store'),
    backends: { a: { driver: 'fs', root: path.join(directory, 'a') } },
  })
  await store.put(Buffer.from(key), { key })
  console.log(JSON.stringify({ pid: process.pid, put: key, syncing: (await store.status()).syncing }))
  for await (const line of process.stdin) console.log((await store.get(String(line).trim())).toString())
} catch (error) {
  const { code, message } = error as { code?: string; message: string }
  console.log(JSON.stringify({ pid: process.pid, code, message }))
}
