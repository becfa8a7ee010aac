import type { Place } from '@stored/core'

/*
 * Neither a backend's name nor a key holds a NUL.
 *
 * place: backend NUL key
 * due:   backend NUL due (6 bytes, ms) seq (6 bytes) key: by time, then in the order they were queued
 * owed:  backend NUL seq (6 bytes) key: in the order they were queued
 *
 * `seq` says when a job was queued, in milliseconds since the epoch, and tells the jobs of one place apart. Earlier versions wrote the
 * number of the commit there: it is below every such time, and those jobs are older.
 */

/** @param isTaken Whether another job of the place has this number. */
export function seqAt(now: number, isTaken: (seq: number) => boolean): number {
  // A clock may stand before 1970.
  const seq = Math.max(0, now)
  return isTaken(seq) ? seq + 1 : seq
}

export function backendPrefix(backend: string): Buffer {
  return Buffer.from(`${backend}\0`)
}

export function placeKey({ backend, key }: Place): Buffer {
  return Buffer.from(`${backend}\0${key}`)
}

export function parsePlaceKey(bytes: Buffer): Place {
  const end = bytes.indexOf(0)
  return { backend: bytes.toString('utf8', 0, end), key: bytes.toString('utf8', end + 1) }
}

export function dueKey({ backend, key }: Place, due: number, seq: number): Buffer {
  const head = Buffer.byteLength(backend) + 1
  const bytes = Buffer.allocUnsafe(head + 12 + Buffer.byteLength(key))
  bytes.write(backend)
  bytes[head - 1] = 0
  // Signed: a clock may stand before 1970. Such a time sorts behind all others, as that of a clock that was set back.
  bytes.writeIntBE(due, head, 6)
  bytes.writeUIntBE(seq, head + 6, 6)
  bytes.write(key, head + 12)
  return bytes
}

/** The end of what is due at `now`. */
export function dueLimit(backend: string, now: number): Buffer {
  return dueKey({ backend, key: '' }, now + 1, 0)
}

export function parseDueKey(bytes: Buffer, backend: string): { due: number; key: string } {
  const head = Buffer.byteLength(backend) + 1
  return { due: bytes.readIntBE(head, 6), key: bytes.toString('utf8', head + 12) }
}

export function owedKey({ backend, key }: Place, seq: number): Buffer {
  const number = Buffer.allocUnsafe(6)
  number.writeUIntBE(seq, 0, 6)
  return Buffer.concat([backendPrefix(backend), number, Buffer.from(key)])
}

export function parseOwedKey(bytes: Buffer): Place & { readonly seq: number } {
  const head = bytes.indexOf(0) + 1
  return {
    backend: bytes.toString('utf8', 0, head - 1),
    seq: bytes.readUIntBE(head, 6),
    key: bytes.toString('utf8', head + 6),
  }
}

export function pauseKey(backend: string): Buffer {
  return Buffer.from(`pause\0${backend}`)
}
