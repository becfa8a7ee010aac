import { checksums } from '@stored/checksumd'
import { StoreD } from '@stored/core'
import { MemoryBackend } from '@stored/core/backend'
import { BlobIndex } from '@stored/index'
import type { TreeLedger } from '@stored/ledger'
import { DurableStaging } from '@stored/staging'
import { JobQueue, SyncD } from '@stored/syncd'
import { dumpOf } from '@stored/testing/rows/dump'
import { checkRows } from '@stored/testing/rows/row-check'
import { HeldPlans } from './held-plans.ts'
import { plainRows } from './plain-rows.ts'

export type HalfSynced = Awaited<ReturnType<typeof openHalfSynced>>

/** A store whose backends `a`, of layout key, and `b`, of layout id, answer when they are told to, and whose plans can be held back. */
export async function openHalfSynced(own: TreeLedger, directory: string, sync: boolean) {
  const plans = new HeldPlans(own)
  const { ledger } = plans
  const index = new BlobIndex(ledger)
  const queue = new JobQueue(ledger)
  const staging = await DurableStaging.open({ ledger, path: directory })
  // What it finds is noted in a plan.
  await staging.sweep()
  const syncer = await SyncD.open({ ledger, index, queue, staging, sync })
  const gates = { a: gated(), b: gated() }
  const services = { ledger, index, queue, staging, syncer, checksums, mimeTypeOf: () => 'text/plain' }
  const store = new StoreD<'a' | 'b'>({
    ...services,
    backends: {
      a: { backend: gates.a.backend, concurrency: 512 },
      b: { backend: gates.b.backend, concurrency: 512, layout: 'id' },
    },
  })

  return {
    ...{ store, plans, gates, queue },
    /** Nothing is claimed from now on. */
    async pause(): Promise<void> {
      for (const name of ['a', 'b'] as const) await store.pause(name)
    },
    /** @throws {Error} The rows contradict each other. */
    rows(): ReturnType<typeof plainRows> {
      const { rows, violations } = checkRows(dumpOf(own))
      if (violations.length > 0) throw new Error(violations.join('\n'))
      return plainRows(rows)
    },
    async [Symbol.asyncDispose](): Promise<void> {
      for (const { open } of Object.values(gates)) open()
      await store.close()
    },
  }
}

/** A backend whose writes begin to wait for a word. */
function gated() {
  const backend = new MemoryBackend()
  const put = backend.put.bind(backend)
  const waiting: (() => void)[] = []
  let isShut = false
  let arrived = () => {}
  backend.put = async (...args) => {
    if (isShut)
      await new Promise<void>((resolve) => {
        waiting.push(resolve)
        arrived()
      })
    return put(...args)
  }
  return {
    backend,
    shut(): void {
      isShut = true
    },
    /** Resolves once so many writes wait. */
    async crowd(count: number): Promise<void> {
      while (waiting.length < count)
        await new Promise<void>((resolve) => {
          arrived = resolve
        })
    },
    /** Lets one through, the first that came. */
    letOne(): void {
      waiting.shift()?.()
    },
    open(): void {
      isShut = false
      for (const go of waiting.splice(0)) go()
    },
  }
}
