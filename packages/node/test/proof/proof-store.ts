import { checksums } from '@stored/checksumd'
import { type BackendOptions, StoreD } from '@stored/core'
import { BlobIndex } from '@stored/index'
import { MemoryLedger } from '@stored/ledger'
import { DurableStaging } from '@stored/staging'
import { JobQueue, SyncD } from '@stored/syncd'
import { temp } from '../temp.ts'
import { Clock } from './clock.ts'
import { Troubles } from './troubles.ts'

export interface Proof<Names extends string> extends AsyncDisposable {
  readonly store: StoreD<Names>
  readonly clock: Clock
  readonly troubles: Troubles
}

/** A store in memory, for blobs that are part of the commit, and a clock that it lives by. */
export async function openProof<const Names extends string>(
  backends: Readonly<Record<Names, BackendOptions>>,
): Promise<Proof<Names>> {
  const directory = await temp()
  const ledger = new MemoryLedger()
  const staging = await DurableStaging.open({ ledger, path: directory.path })
  // That of open() reads the disk as well: from here on only memory is touched.
  await staging.sweep()
  const troubles = new Troubles()
  const clock = new Clock()
  const index = new BlobIndex(ledger)
  const queue = new JobQueue(ledger)
  const syncer = await SyncD.open({ ledger, index, queue, staging })
  const services = { ledger, index, queue, staging, syncer, checksums, mimeTypeOf: () => 'application/octet-stream' }
  const store = new StoreD<Names>({ ...services, backends })
  const close = async () => {
    await clock.until(store.close())
    clock[Symbol.dispose]()
    troubles[Symbol.dispose]()
    await directory[Symbol.asyncDispose]()
  }
  return { store, clock, troubles, [Symbol.asyncDispose]: close }
}
