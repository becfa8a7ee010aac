/** In bytes. */
const UNITS: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
  TIB: 2 ** 40,
}

/**
 * Parses a size in bytes: a number, or a text such as `1GB`, `1.5 GiB`, `500`. SI units are powers of 1,000, those with
 * an `i` powers of 1,024; case does not matter.
 *
 * @returns `null` if it is not a size, or less than a byte.
 */
export function parseByteSize(size: unknown): number | null {
  const bytes = typeof size === 'string' ? parse(size) : size
  return typeof bytes === 'number' && Number.isSafeInteger(bytes) && bytes > 0 ? bytes : null
}

function parse(text: string): number | null {
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?) ?([a-z]*)$/i.exec(text.trim()) ?? []
  const factor = UNITS[unit.toUpperCase() || 'B']
  return number === undefined || factor === undefined ? null : Math.round(Number(number) * factor)
}
