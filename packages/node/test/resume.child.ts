import path from 'node:path'
import { openStore } from '@stored/node'
import { ResumingBackend } from './resume.backend.ts'

// Syncs the store in a directory, and is killed as soon as so many bytes were brought.
const [directory, bytes] = process.argv.slice(2) as [string, string]
const backend = new ResumingBackend(path.join(directory, 'far'), ({ brought }) => {
  if (brought >= Number(bytes)) process.kill(process.pid, 'SIGKILL')
})
const store = await openStore({ path: path.join(directory, 'store'), backends: { far: { backend } } })
await store.synced()
await store.close()
