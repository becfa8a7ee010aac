import { vi } from 'vitest'

/** Repeats a run: `PROOF_SEED=7 npm test -- packages/node/test/proof`. */
export const SEED = fromEnvironment('PROOF_SEED', 1)

/** Of a test: hours pass in seconds, but larger runs take their time. */
export const TIMEOUT_MS = 60 * 60 * 1000

/** A whole number from the environment. */
export function fromEnvironment(name: string, otherwise: number, least = 1): number {
  const value = Number(process.env[name] ?? otherwise)
  if (!Number.isSafeInteger(value) || value < least) throw new Error(`${name} is a whole number from ${least}`)
  return value
}

/** Has `Math.random`, and with it all jitter, follow from a seed. */
export function seedRandom(seed: number): void {
  let state = seed >>> 0
  vi.spyOn(Math, 'random').mockImplementation(() => {
    state = (state + 0x6d2b79f5) >>> 0
    let h = Math.imul(state ^ (state >>> 15), state | 1)
    h ^= h + Math.imul(h ^ (h >>> 7), h | 61)
    return ((h ^ (h >>> 14)) >>> 0) / 2 ** 32
  })
}

/** The bytes of blob number `n`, 10 to 4,000 of them, unlike those of any other. */
export function blob(n: number): Buffer {
  return Buffer.alloc(10 + ((n * 7919) % 3991), `blob ${n}, `)
}

export function keyOf(n: number): string {
  return `folder-${n % 100}/blob-${n}`
}

/** Says a figure where the tests report. */
export function tell(text: string): void {
  process.stdout.write(`  ${text}\n`)
}
