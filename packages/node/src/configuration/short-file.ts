import { createReadStream } from 'node:fs'

/** More than a person writes by hand. */
const MOST_BYTES = 1 << 20

/** The text of a short file: another one in its place may be endless. @throws Also EFBIG. */
export async function readShort(file: string): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of createReadStream(file, { end: MOST_BYTES })) {
    chunks.push(chunk)
    size += chunk.length
  }
  if (size > MOST_BYTES) throw Object.assign(new Error(`more than ${MOST_BYTES} bytes`), { code: 'EFBIG' })
  return Buffer.concat(chunks).toString()
}
