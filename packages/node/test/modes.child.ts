import path from 'node:path'
import { openStore } from '@stored/node'

// Opens a store that a group shares, puts a blob and reads what all have put; keeps it open until stdin ends.
const [directory, key] = process.argv.slice(2) as [string, string]
process.umask(0o077)
try {
  await using store = await openStore({
    path: path.join(directory, 'store'),
    mode: '0770',
    backends: { far: { driver: 'fs', root: path.join(directory, 'far') } },
  })
  await store.pause('far') // Its files are made as the umask says: it is nobody else's.
  await store.put(Buffer.from(key.repeat(100_000)), { key })
  const found: Record<string, number> = {}
  for await (const { key } of store.list()) if (key) found[key] = (await store.get(key)).length
  const { syncing } = await store.status()
  console.log(JSON.stringify({ found, syncing }))
  for await (const _ of process.stdin);
} catch (error) {
  console.log(JSON.stringify(String(error)))
}
