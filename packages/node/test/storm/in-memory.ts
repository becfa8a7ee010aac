import { MemoryLedger } from '@stored/ledger'
import { Clock } from '../proof/clock.ts'
import { seedRandom } from '../proof/inputs.ts'
import { temp } from '../temp.ts'
import { type Stormed, type StormOptions, storm } from './storm.ts'

export type Kind = { readonly what: string } & Pick<StormOptions, 'stores' | 'callers' | 'callsEach'> &
  Partial<Pick<StormOptions, 'limit' | 'highWater' | 'openings' | 'blobs' | 'weights'>>

export const KINDS: readonly Kind[] = [
  { what: 'one store', stores: 1, callers: 12, callsEach: 12 },
  { what: 'two stores on one ledger, as two processes have it', stores: 2, callers: 12, callsEach: 12 },
  { what: 'two stores, all calls at the same moment', stores: 2, callers: 150, callsEach: 1 },
  {
    ...{ what: 'two stores, opened with other layouts and prefixes each time', stores: 2, callers: 8, callsEach: 5 },
    // Bytes leave as soon as a copy lets them.
    ...{ highWater: 0, openings: 6, blobs: 3, weights: { putById: 20, put: 40, deleteKey: 6, deleteId: 2 } },
  },
  { what: 'two stores whose staging is full', stores: 2, callers: 12, callsEach: 12, limit: 200, highWater: 0 },
]

export const ROOMY = { limit: 1e9, highWater: 0.5, openings: 1 }
const INLINE = [0, 50, 51, 52, 53]

/** A storm that repeats step by step. Restore the mocks after it. */
export async function stormInMemory({ what: _, ...kind }: Kind, seed: number): Promise<Stormed> {
  await using directory = await temp()
  using clock = new Clock()
  seedRandom(seed)
  const until = <T>(work: Promise<T>) => clock.until(work)
  const subject = { ledger: new MemoryLedger(), directory: directory.path, sizes: INLINE, checkEvery: 1, until }
  return await storm({ ...ROOMY, ...kind, ...subject, seed })
}
