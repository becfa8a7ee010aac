import { usage } from '../errors/fault.ts'

export interface ByteRange {
  readonly offset: number
  readonly length: number
}

/**
 * The bytes that `A-B`, `A-` or `-N` selects in a blob of `size` bytes.
 *
 * @throws {Fault} USAGE.
 * @see RFC 9110 section 14.1.2: both ends are included, and an end past the last byte means the last byte.
 */
export function parseRange(text: string, size: number): ByteRange {
  const [, first = '', last = ''] = /^(\d*)-(\d*)$/.exec(text) ?? []
  if (first === '' && last === '') throw usage(`--range takes A-B, A- or -N, not ${JSON.stringify(text)}`)
  const offset = first === '' ? Math.max(0, size - Number(last)) : Number(first)
  const end = first === '' || last === '' ? size : Math.min(Number(last) + 1, size)
  if (offset >= end) throw usage(`the blob has ${size} bytes, none of them in ${text}`)
  return { offset, length: end - offset }
}
