import type { Bench } from './bench.ts'
import { getLarge } from './benches/get-large.ts'
import { getS3Large } from './benches/get-s3-large.ts'
import { getSmall } from './benches/get-small.ts'
import { isolation } from './benches/isolation.ts'
import { manyKeys } from './benches/many-keys.ts'
import { memory } from './benches/memory.ts'
import { neighbour } from './benches/neighbour.ts'
import { putEvict } from './benches/put-evict.ts'
import { putLarge } from './benches/put-large.ts'
import { putRelease } from './benches/put-release.ts'
import { putShared } from './benches/put-shared.ts'
import { putSmall } from './benches/put-small.ts'
import { reopen } from './benches/reopen.ts'
import { stat } from './benches/stat.ts'
import { syncLocal } from './benches/sync-local.ts'
import { syncS3 } from './benches/sync-s3.ts'
import { syncS3Large } from './benches/sync-s3-large.ts'
import { syncSftpLarge } from './benches/sync-sftp-large.ts'
import { walks } from './benches/walks.ts'

/** By name, in the order of the documentation. */
export const benches: Readonly<Record<string, Bench>> = Object.fromEntries(
  [
    putSmall,
    putShared,
    neighbour,
    putRelease,
    putEvict,
    memory,
    putLarge,
    getSmall,
    getLarge,
    stat,
    manyKeys,
    walks,
    syncLocal,
    syncS3,
    syncS3Large,
    getS3Large,
    syncSftpLarge,
    isolation,
    reopen,
  ].map((bench) => [bench.name, bench]),
)
