import { StorageError } from '@stored/core/backend'
import { idOf } from '../temp.ts'
import { Random } from './random.ts'
import { blobsOf, KEYS, openShared } from './shared-store.ts'

// Puts, deletes and reads on a store that another process works on as well, and tells what was not as it should be.
const [directory, seed, count] = process.argv.slice(2) as [string, string, string]
const random = new Random(Number(seed))
const blobs = blobsOf()
const wrong: string[] = []
const store = await openShared(directory)
await Promise.all(Array.from({ length: Number(count) }, call))
process.send?.(wrong)
await store.close()
process.disconnect()

async function call(): Promise<void> {
  const key = random.pick(KEYS)
  const blob = random.pick(blobs)
  const kind = random.weighted({ put: 50, putSome: 12, delete: 20, deleteId: 5, get: 15, drop: 6, pause: 2, resume: 4 })
  await new Promise((resolve) => setTimeout(resolve, random.below(300)))
  try {
    if (kind === 'put') await store.put(blob, { key })
    else if (kind === 'putSome') await store.put(blob, { key, backends: [random.pick(['a', 'b'])] })
    else if (kind === 'delete') await store.delete(key)
    else if (kind === 'deleteId') await store.delete(idOf(blob))
    else if (kind === 'drop') await store.delete(key, { backends: ['a'] })
    else if (kind === 'pause') await store.pause('b')
    else if (kind === 'resume') await store.resume('b')
    else if (!isOne(await store.get(key))) wrong.push(`${key} has other bytes`)
  } catch (error) {
    if (!StorageError.is(error) || !['NOT_FOUND', 'PRECONDITION_FAILED'].includes(error.code))
      wrong.push(`${kind} ${key}: ${error}`)
  }
}

function isOne(found: Uint8Array): boolean {
  return blobs.some((one) => one.equals(found))
}
