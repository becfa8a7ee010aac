import { type ErrorLocation, StorageError } from '../../backend/error.ts'
import { is, type RulesOf } from '../../backend/rules.ts'
import { wrongSize } from '../../guard/verify.ts'
import type { BlobId } from '../../model/blob.ts'
import { openSource } from '../../source/open-source.ts'
import type { BlobSource } from '../../source/source.ts'
import { traced } from '../../trace.ts'
import { checkAlgorithms, ID } from '../lookup/names.ts'
import type { Services } from '../services.ts'
import type { ReceiveOptions } from '../types.ts'
import { Pass } from './pass.ts'
import { ReceivedBytes } from './received.ts'

type Expected = NonNullable<ReceiveOptions['expect']>

export const RECEIVE_OPTIONS: RulesOf<ReceiveOptions> = {
  expect: is.group({ checksum: ID, size: is.whole(0, undefined, 'of bytes') } satisfies RulesOf<Expected>),
  checksums: is.names,
  whenFull: is.oneOf(['wait', 'refuse']),
  signal: is.signal,
  onProgress: is.callback,
}

/** Reads a source once, to where nobody can see the bytes. */
export async function receive(
  services: Services,
  source: BlobSource,
  options: ReceiveOptions,
  signal: AbortSignal,
  at: ErrorLocation,
): Promise<ReceivedBytes> {
  checkAlgorithms(options.checksums ?? [], at)
  const opening = openSource(source, { signal, reuse: true, at })
  const opened = 'body' in opening ? opening : await opening
  try {
    const { size, path } = opened
    if (size !== undefined) checkSize(size, options, at)
    const making = services.checksums.hasher([...services.algorithms, ...(options.checksums ?? [])])
    const pass = new Pass('then' in making ? await making : making, opened, options, at)
    // Where nobody syncs there is nothing to wait for.
    const whenFull = services.syncer.attended ? (options.whenFull ?? services.whenFull) : 'refuse'
    const staged = await traced(
      'stage',
      { key: at.key },
      () => services.staging.receive(pass.bytes(), { signal, size, whenFull, owned: pass.isOwned }),
      (received) => received.size,
    )
    try {
      const digests = pass.digests()
      const id: BlobId = `sha256:${digests.sha256}`
      checkSize(pass.size, options, at)
      checkId(id, options, at)
      return new ReceivedBytes({ staged, id, size: pass.size, digests, head: pass.head(), path, for: services })
    } catch (error) {
      await staged[Symbol.asyncDispose]()
      throw error
    }
  } finally {
    opened.release()
  }
}

/** @param size Of all bytes. */
function checkSize(size: number, { expect }: ReceiveOptions, at: ErrorLocation): void {
  if (expect?.size !== undefined && expect.size !== size) throw wrongSize(expect.size, size, at)
}

function checkId(id: BlobId, { expect }: ReceiveOptions, at: ErrorLocation): void {
  if (expect?.checksum === undefined || expect.checksum === id) return
  throw new StorageError('CHECKSUM_MISMATCH', at, { detail: `expected ${expect.checksum}, got ${id}` })
}
