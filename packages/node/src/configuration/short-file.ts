import { createReadStream } from 'node:fs'

/** What a person writes by hand has less. */
const MOST_BYTES = 1 << 20

/** The text of a file that is not long: one in its place may have no end. @throws Also EFBIG. */
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
