import { createHash } from 'node:crypto'
import { mkdirSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { put as cacachePut } from 'cacache'
import type { Bench, Comparison } from '../bench.ts'
import { close, fdatasync, fsync, open, rename, write } from '../callbacks.ts'
import { ABOUT as ABOUT_COUNTS, compareCounts, countPuts } from '../counted-puts.ts'
import { idOf, inFlight, makeBlobs } from '../data.ts'
import { compare, flushesPer, microsecondsPer, type Rival, rate } from '../figures.ts'
import type { FlushDelay } from '../flushes.ts'
import type { Contestant, Lab, Sample } from '../lab.ts'
import { openBenchStore } from '../stores.ts'

const SIZE = 4096
const IN_FLIGHT = 64
/** Puts before the clock starts, on every side. */
const WARM_UP = 500
const THREADS = [4, 16, 32]

function blobsOf({ count = 0 }: { readonly count?: number }): { warmUp: Buffer[]; blobs: Buffer[] } {
  const all = makeBlobs(WARM_UP + count, SIZE, 'put-small')
  return { warmUp: all.slice(0, WARM_UP), blobs: all.slice(WARM_UP) }
}

export const putSmall: Bench = {
  name: 'put-small',
  about: `Distinct random blobs of 4 KiB from memory, 64 in flight, ${WARM_UP} before the clock starts, on every side.
StoreD: put() resolves when bytes, record and the job for one backend are durable; it does not sync meanwhile (see sync-local).
At the end of each round its process is killed with SIGKILL, and a new one reads back and verifies every acknowledged blob.
File per blob: SHA-256, write to a temporary name, fdatasync, rename to the digest's name in one of 256 directories, fsync of
that directory; no metadata; the best of UV_THREADPOOL_SIZE ${THREADS.join(', ')}, while StoreD runs with the default.
cacache: the same blobs by the same digest, and the best of the same pools; it is not durable.
Flushes are calls of fsync and fdatasync and writes through O_DSYNC descriptors: a commit of LMDB takes one of each. "fsync
+5 ms" delays the calls; "flush +5 ms" delays the O_DSYNC writes as well, of which the rivals make none.
Written/byte: what a process passes to write() and its like, while the clock runs, for each byte that it puts.
${ABOUT_COUNTS}`,

  sides: {
    async stored({ directory, params, start, stop }) {
      const { warmUp, blobs } = blobsOf(params)
      const store = await openBenchStore(directory, false)
      await inFlight(IN_FLIGHT, warmUp, (blob) => store.put(blob))
      await start()
      await inFlight(IN_FLIGHT, blobs, (blob) => store.put(blob))
      await stop(blobs.length)
    },

    count: countPuts,

    async verify({ directory, params }) {
      const { blobs } = blobsOf(params)
      await using store = await openBenchStore(directory, false)
      await inFlight(IN_FLIGHT, blobs, async (blob) => {
        if (!blob.equals(await store.get(idOf(blob)))) throw new Error(`lost after SIGKILL: ${idOf(blob)}`)
      })
    },

    async files({ directory, params, start, stop }) {
      const { warmUp, blobs } = blobsOf(params)
      const folders = openFolders(directory)
      let serial = 0
      const put = async (blob: Buffer): Promise<void> => {
        const name = createHash('sha256').update(blob).digest('hex')
        const temporary = join(directory, 'tmp', String(serial++))
        const fd = await open(temporary, 'wx')
        await write(fd, blob)
        await fdatasync(fd)
        close(fd)
        const folder = folders[Number.parseInt(name.slice(0, 2), 16)] as Folder
        await rename(temporary, join(folder.path, name))
        await fsync(folder.fd)
      }
      await inFlight(IN_FLIGHT, warmUp, put)
      await start()
      await inFlight(IN_FLIGHT, blobs, put)
      await stop(blobs.length)
    },

    async cacache({ directory, params, start, stop }) {
      const { warmUp, blobs } = blobsOf(params)
      const put = (blob: Buffer) => cacachePut(directory, idOf(blob), blob, { algorithms: ['sha256'] })
      await inFlight(IN_FLIGHT, warmUp, put)
      await start()
      await inFlight(IN_FLIGHT, blobs, put)
      await stop(blobs.length)
    },
  },

  async run(lab) {
    const plain = [...(await compareCounts(lab)), ...(await comparePlain(lab))]
    if (lab.noFlushes !== null) return plain
    const reach = { ratio: 3, stretch: 4.5 }
    return [
      ...plain,
      await compareDelayed(lab, 'put-small, fsync +5 ms', { microseconds: 5000 }, reach),
      await compareDelayed(lab, 'put-small, flush +5 ms', { microseconds: 5000, dsync: true }),
    ]
  },
}

async function comparePlain(lab: Lab): Promise<Comparison[]> {
  const count = lab.scaled(8000, IN_FLIGHT)
  const files = withPools('files', 'file per blob', { count })
  const others = withPools('cacache', 'cacache.put, not durable', { count })
  const [ours = [], ...rivals] = await lab.compete([storedSide(lab, { count }), ...files, ...others])
  const what = { bench: 'put-small', unit: 'puts/s', better: 'more', figure: rate } as const
  const named = [...files, ...others].map(({ name }, i): Rival => ({ name, samples: rivals[i] ?? [] }))
  const durable = named.slice(0, files.length)
  return [
    compare({ ...what, reach: { ratio: 1.2, stretch: 1.5 } }, ours, durable),
    compare({ ...what, reach: { ratio: 1.2 } }, ours, named.slice(files.length)),
    ...(ours.some(({ bytesWritten }) => bytesWritten === null)
      ? []
      : [
          compare(
            { ...what, unit: 'written/byte', better: 'less', figure: writtenPerByte, reach: { atMost: 4, stretch: 3 } },
            ours,
            durable,
          ),
        ]),
    compare({ ...what, unit: 'processor µs/put', better: 'less', figure: microsecondsPer }, ours, durable),
    ...(lab.noFlushes === null
      ? [
          compare(
            { ...what, unit: 'flushes/put', better: 'less', figure: flushesPer, reach: { atMost: 0.1 } },
            ours,
            durable,
          ),
        ]
      : []),
  ]
}

async function compareDelayed(
  lab: Lab,
  bench: string,
  delay: FlushDelay,
  reach?: Comparison['reach'],
): Promise<Comparison> {
  const count = lab.scaled(1500, IN_FLIGHT)
  const files = withPools('files', 'file per blob', { count, delay })
  const [ours = [], ...rivals] = await lab.compete([storedSide(lab, { count, delay }), ...files])
  const named = files.map(({ name }, i): Rival => ({ name, samples: rivals[i] ?? [] }))
  return compare({ bench, unit: 'puts/s', better: 'more', figure: rate, ...(reach && { reach }) }, ours, named)
}

/** Bytes that the process wrote, by whatever call, for each byte that was put. */
function writtenPerByte({ bytesWritten, count }: Sample): number | null {
  return bytesWritten === null ? null : bytesWritten / (count * SIZE)
}

interface Load {
  readonly count: number
  readonly delay?: FlushDelay
}

function storedSide(lab: Lab, { count, delay }: Load): Contestant {
  const params = { count }
  const check = (directory: string) => lab.prepare('verify', directory, params)
  return { name: 'StoreD', side: 'stored', params, kill: true, check, ...(delay && { delay }) }
}

function withPools(side: string, name: string, { count, delay }: Load): Contestant[] {
  return THREADS.map((threads) => ({
    name: `${name} (${threads} threads)`,
    side,
    params: { count },
    threads,
    isForeign: true,
    ...(delay && { delay }),
  }))
}

interface Folder {
  readonly path: string
  readonly fd: number
}

/** Kept open, so that flushing one costs its flush alone. */
function openFolders(directory: string): Folder[] {
  mkdirSync(join(directory, 'tmp'))
  return Array.from({ length: 256 }, (_, i) => {
    const path = join(directory, i.toString(16).padStart(2, '0'))
    mkdirSync(path)
    return { path, fd: openSync(path, 'r') }
  })
}
