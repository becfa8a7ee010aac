import { isUtf8 } from 'node:buffer'

/** The longest UTF-8 character, in bytes. */
const LONGEST = 4

/**
 * Formats a file name that is not UTF-8 for a message: `a\xffb`. Each byte that is not part of a character is shown by
 * its value. `toString` would replace it with U+FFFD, which makes many names look the same.
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
