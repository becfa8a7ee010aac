/** A row of numbers. */
export function encodeNumbers(numbers: readonly number[]): Buffer {
  const bytes = Buffer.allocUnsafe(numbers.length * 8)
  for (const [i, number] of numbers.entries()) bytes.writeDoubleBE(number, i * 8)
  return bytes
}

/** The numbers that `Writer.add` keeps. */
export function decodeNumbers(bytes: Buffer): number[] {
  return Array.from({ length: bytes.length / 8 }, (_, i) => bytes.readDoubleBE(i * 8))
}

/** Number by number; what one of them lacks is 0. */
export function addNumbers(a: readonly number[], b: readonly number[]): number[] {
  return Array.from({ length: Math.max(a.length, b.length) }, (_, i) => (a[i] ?? 0) + (b[i] ?? 0))
}
