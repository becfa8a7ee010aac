import { checksums } from '@stored/checksumd'
import { type Committed, StoreD, type Transaction } from '@stored/core'
import { MemoryBackend } from '@stored/core/backend'
import { BlobIndex } from '@stored/index'
import { MemoryLedger } from '@stored/ledger'
import { DurableStaging } from '@stored/staging'
import { JobQueue, SyncD } from '@stored/syncd'
import { expect, test } from 'vitest'
import { temp } from './temp.ts'

/** Holds up one commit, once it is told to. */
class HeldLedger extends MemoryLedger {
  readonly begun = Promise.withResolvers<void>()
  readonly gate = Promise.withResolvers<void>()
  holds = false

  override async transact<T>(write: (tx: Transaction) => T): Promise<Committed<T>> {
    if (this.holds) {
      this.holds = false
      this.begun.resolve()
      await this.gate.promise
    }
    return super.transact(write)
  }
}

class Disk extends MemoryBackend {
  override get medium(): string {
    return 'disk 1'
  }
}

test('removeBackend() of a backend that is being opened forgets its medium all the same', async () => {
  await using dir = await temp()
  const ledger = new HeldLedger()
  const index = new BlobIndex(ledger)
  const queue = new JobQueue(ledger)
  const staging = await DurableStaging.open({ ledger, path: dir.path })
  const syncer = await SyncD.open({ ledger, index, queue, staging })
  const services = { ledger, index, queue, staging, syncer, checksums, mimeTypeOf: () => 'application/octet-stream' }

  // The first that is committed is which disk lies there.
  ledger.holds = true
  await using store = new StoreD({ ...services, backends: { disk: { backend: new Disk() } } })
  await ledger.begun.promise
  const removed = store.removeBackend('disk')
  await new Promise(setImmediate)
  ledger.gate.resolve()
  await removed
  expect(await ledger.look((view) => index.medium(view, 'disk'))).toBeNull()
})
