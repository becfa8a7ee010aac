import { createHash } from 'node:crypto'
import { xxh3 } from '@node-rs/xxhash'
import type { Algorithm, Checksums, Digests, Hasher } from '@stored/core'
import { type ErrorLocation, StorageError, unknownName } from '@stored/core/backend'
import { Crc32, load, WasmCrc } from './crc.ts'

interface Running {
  update(chunk: Uint8Array): unknown
  digest(encoding: 'hex'): string
}

/** XXH3 with 64 bits and seed 0, written like its reference `xxhsum`: big-endian. @see https://xxhash.com */
class Xxh3 implements Running {
  readonly #state = xxh3.Xxh3.withSeed()

  update(chunk: Uint8Array): void {
    this.#state.update(chunk)
  }

  digest(): string {
    return this.#state.digest().toString(16).padStart(16, '0')
  }
}

const START: Readonly<Record<Algorithm, () => Running>> = {
  sha256: () => createHash('sha256'),
  sha1: () => createHash('sha1'),
  md5: () => createHash('md5'),
  crc32: () => new Crc32(),
  crc32c: () => new WasmCrc('crc32c'),
  crc64nvme: () => new WasmCrc('crc64nvme'),
  xxh3: () => new Xxh3(),
}

class OnePass implements Hasher {
  readonly #sha256 = createHash('sha256')
  readonly #others: [Algorithm, Running][] = []

  constructor(algorithms: readonly Algorithm[]) {
    for (const algorithm of new Set(algorithms)) {
      if (algorithm !== 'sha256') this.#others.push([algorithm, START[algorithm]()])
    }
  }

  // Hashed at once and not held back for a one-shot `crypto.hash`, which saves 10 % of 4 KiB: a caller that reuses its
  // buffer would get the digest of what came later.
  update(chunk: Uint8Array): void {
    this.#sha256.update(chunk)
    for (const [, running] of this.#others) running.update(chunk)
  }

  digest(): Digests {
    const digests: Partial<Record<Algorithm, string>> & { sha256: string } = { sha256: this.#sha256.digest('hex') }
    for (const [algorithm, running] of this.#others) digests[algorithm] = running.digest('hex')
    return digests
  }
}

/** @throws {StorageError} INVALID_ARGUMENT unless each is an algorithm that is known here. */
export function checkAlgorithms(algorithms: readonly Algorithm[], at: ErrorLocation): void {
  if (!Array.isArray(algorithms))
    throw new StorageError('INVALID_ARGUMENT', at, { detail: 'algorithms must be an array' })
  for (const algorithm of algorithms) {
    if (!Object.hasOwn(START, algorithm)) throw unknownName('algorithm', String(algorithm), Object.keys(START), at)
  }
}

/**
 * Digests of one pass over the bytes: SHA-256 always, and the others as asked for. A chunk may be reused as soon as `update` returned.
 * `hasher` returns a promise only while `crc32c` or `crc64nvme` are used for the first time: their library is loaded then.
 *
 * @throws {StorageError} `hasher`, at once: INVALID_ARGUMENT for an algorithm that is not known.
 */
export const checksums: Checksums = {
  hasher(algorithms) {
    checkAlgorithms(algorithms, { op: 'checksum' })
    const loading = load(algorithms)
    return loading ? loading.then(() => new OnePass(algorithms)) : new OnePass(algorithms)
  },
}
