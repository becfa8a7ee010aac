import { isUtf8 } from 'node:buffer'

/** The longest character in UTF-8, in bytes. */
const LONGEST = 4

/**
 * A name of a file that is not UTF-8, for a message: `a\xffb`. Each byte that belongs to no character is shown by its value, where
 * `toString` puts U+FFFD for it and so makes one name of many.
 */
export function escapeName(name: Uint8Array): string {
  let text = ''
  for (let at = 0; at < name.length; ) {
    const character = characterAt(name, at)
    text += character === null ? `\\x${hex(name[at] as number)}` : character.toString().replace('\\', '\\\\')
    at += character?.length ?? 1
  }
  return text
}

function characterAt(name: Uint8Array, at: number): Buffer | null {
  for (let end = at + 1; end <= Math.min(at + LONGEST, name.length); end++)
    if (isUtf8(name.subarray(at, end))) return Buffer.from(name.subarray(at, end))
  return null
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0')
}
