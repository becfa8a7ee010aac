import { crc32 } from 'node:zlib'
import type { IHasher } from 'hash-wasm'

/** CRC-32, as of gzip and PNG. @see RFC 1952 section 8 */
export class Crc32 {
  #crc = 0

  update(chunk: Uint8Array): void {
    this.#crc = crc32(chunk, this.#crc)
  }

  digest(): string {
    return this.#crc.toString(16).padStart(8, '0')
  }
}

/** The CRCs that Node.js does not have, each with its polynomial, reversed. */
const MAKE = {
  /** CRC-32C, as of iSCSI and object stores. @see RFC 3720 section 12.1 */
  crc32c: async () => (await import('hash-wasm')).createCRC32(0x82f63b78),
  /** CRC-64/NVME, as of S3. @see NVM Command Set Specification section 5.2.1.3.4 */
  crc64nvme: async () => (await import('hash-wasm')).createCRC64('9a6c9329ac4bc9b5'),
} as const satisfies Readonly<Record<string, () => Promise<IHasher>>>

export type WasmAlgorithm = keyof typeof MAKE

const loaded = new Map<WasmAlgorithm, IHasher>()

function isWasm(algorithm: string): algorithm is WasmAlgorithm {
  return Object.hasOwn(MAKE, algorithm)
}

/** Loads what `algorithms` need. @returns `undefined` when all of it is there. */
export function load(algorithms: readonly string[]): Promise<unknown> | undefined {
  const missing = algorithms.filter(isWasm).filter((algorithm) => !loaded.has(algorithm))
  if (missing.length === 0) return undefined
  return Promise.all(missing.map(async (algorithm) => loaded.set(algorithm, await MAKE[algorithm]())))
}

/** A CRC that was loaded. All passes share one module and its memory: between two chunks each keeps its state, of 8 or 12 bytes. */
export class WasmCrc {
  readonly #module: IHasher
  #state: Uint8Array | undefined

  constructor(algorithm: WasmAlgorithm) {
    this.#module = loaded.get(algorithm) as IHasher
  }

  update(chunk: Uint8Array): void {
    this.#state = this.#resume().update(chunk).save()
  }

  digest(): string {
    return this.#resume().digest('hex')
  }

  #resume(): IHasher {
    return this.#state === undefined ? this.#module.init() : this.#module.load(this.#state)
  }
}
