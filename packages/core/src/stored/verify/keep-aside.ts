import type { Stat } from '../../backend/contract.ts'
import { StorageError } from '../../backend/error.ts'
import { MAX_KEY_BYTES } from '../../backend/keys.ts'
import type { GuardedBackend } from '../../guard/guarded-backend.ts'

/** What file systems take for one name, unless a driver says otherwise, in bytes. */
const SEGMENT_BYTES = 255
/** Names that are taken before it is given up. */
const MAX_NAMES = 100

/**
 * Keeps what lies at a key under another one, on the same backend, so that the key can be written over. Never over anything.
 *
 * @param stat What lies there. When it is something else by the end, nothing may be written over it.
 * @returns The key under which it is kept.
 * @throws {StorageError} CONFLICT: somebody changed it while it was kept.
 */
export async function keepAside(
  backend: GuardedBackend,
  key: string,
  stat: Stat,
  now: Date,
  signal: AbortSignal,
): Promise<string> {
  const ifMatch = backend.capabilities.ifMatch ? stat.etag : undefined
  for (let i = 1; i <= MAX_NAMES; i++) {
    const kept = keptName(key, now, i, backend.capabilities.keys?.maxSegmentBytes)
    if ((await backend.stat(kept, { signal })) !== null) continue
    const { body, stat: read } = await backend.get(key, { ifMatch, signal })
    const condition = backend.capabilities.ifAbsent ? { ifAbsent: true } : {}
    try {
      await backend.put(kept, body, { size: read.size, signal, ...condition })
    } catch (error) {
      if (StorageError.is(error) && error.code === 'ALREADY_EXISTS') continue
      throw error
    }
    if (read.etag === stat.etag && (await backend.stat(key, { signal }))?.etag === stat.etag) return kept
    const at = { op: 'repair', backend: backend.name, key }
    throw new StorageError('CONFLICT', at, {
      detail: `somebody changed it while it was kept as ${JSON.stringify(kept)}`,
    })
  }
  throw new StorageError('ALREADY_EXISTS', { op: 'repair', backend: backend.name, key }, { detail: 'no name is free' })
}

/** `<key>.stored-kept-<time>`, its last part cut where that would be too long. */
function keptName(key: string, now: Date, count: number, segmentBytes = SEGMENT_BYTES): string {
  const time = now.toISOString().replace(/[-:]|\.\d+/g, '')
  const suffix = `.stored-kept-${time}${count === 1 ? '' : `-${count}`}`
  const parent = key.slice(0, key.lastIndexOf('/') + 1)
  const room = Math.min(segmentBytes, MAX_KEY_BYTES - Buffer.byteLength(parent)) - suffix.length
  return `${parent}${cut(key.slice(parent.length), room)}${suffix}`
}

/** As many whole characters as fit. */
function cut(text: string, bytes: number): string {
  let kept = ''
  for (const character of text) {
    if (Buffer.byteLength(kept) + Buffer.byteLength(character) > bytes) break
    kept += character
  }
  return kept
}
