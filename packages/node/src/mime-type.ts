import { filetypemime } from 'magic-bytes.js'
import mime from 'mime'
import { mayMatch } from './first-bytes.ts'

const UNKNOWN = 'application/octet-stream'

/**
 * The MIME type from the first bytes, else from the extension of the key, else of the path. If the bytes fit several
 * types (every Office document is a ZIP archive), the extension decides.
 */
export function mimeTypeOf(
  head: Uint8Array,
  { key, path }: { key?: string | undefined; path?: string | undefined },
): string {
  const byName = typeByName(key) ?? typeByName(path)
  const byBytes = mayMatch(head) ? filetypemime(head) : []
  if (byName !== undefined && byBytes.includes(byName)) return byName
  return byBytes[0] ?? byName ?? UNKNOWN
}

function typeByName(name: string | undefined): string | undefined {
  return name === undefined ? undefined : (mime.getType(name) ?? undefined)
}
