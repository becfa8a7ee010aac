import { hash } from 'node:crypto'
import { closeSync, mkdirSync, openSync, readdirSync, readSync } from 'node:fs'
import { join } from 'node:path'
import type { Bench } from '../bench.ts'
import { inFlight, writeLargeFile } from '../data.ts'
import { compare, memoryMib, mibPerSecond } from '../figures.ts'
import { checkObjects, openS3Store, rclone, startS3 } from '../s3.ts'

const MIB = 1024 * 1024
const COUNT = 4
/** Of both sides; what is larger is sent in parts. */
const PART_MIB = 8

export const syncS3Large: Bench = {
  name: 'sync-s3-large',
  about: `${COUNT} files of 256 MiB, in the page cache, to Ceph's gateway on this machine, all at once, in parts of ${PART_MIB} MiB; server and
client share the processors. StoreD: put(path, { key }) of each and synced(), from the first put on: hashed, staged, flushed,
recorded, read again, sent. The rival is rclone copy with parts of the same size, four of each file under way. Memory: highest
RssAnon while measured, less that after opening and a warm-up. After each round the etags are compared with the MD5 of the parts.`,

  sides: {
    async source({ directory, params }) {
      const source = join(directory, 'source')
      mkdirSync(source)
      for (let i = 0; i < COUNT; i++)
        writeLargeFile(join(source, `${i}.bin`), Number(params.size), `sync-s3-large ${i}`)
    },

    async stored({ directory, params, start, stop }) {
      const names = readdirSync(String(params.source))
      await using store = await openS3Store(directory, params)
      await store.put(Buffer.alloc(4096), { key: 'warm-up' })
      await store.synced()
      await start()
      await inFlight(COUNT, names, (name) => store.put(join(String(params.source), name), { key: name }))
      await store.synced()
      await stop(COUNT * Number(params.size))
    },

    async rclone({ directory, params, start, stop }) {
      const parts = [`--s3-chunk-size=${PART_MIB}M`, `--s3-upload-cutoff=${PART_MIB}M`, '--s3-upload-concurrency=4']
      await start()
      rclone(String(params.source), directory, params, [`--transfers=${COUNT}`, `--checkers=${COUNT}`, ...parts])
      await stop(COUNT * Number(params.size))
    },
  },

  async run(lab) {
    const { service, params: server } = await startS3()
    await using _ = service
    const directory = lab.makeDirectory()
    const source = join(directory, 'source')
    const params = { ...server, source, size: lab.scaled(256, 2 * PART_MIB) * MIB }
    await lab.prepare('source', directory, params)
    const etags = new Map(readdirSync(source).map((name) => [name, etagOf(join(source, name))]))
    const check = (place: string) => checkObjects(place, params, etags)
    const [ours = [], rival = []] = await lab.compete([
      { name: 'StoreD', side: 'stored', params, check },
      { name: 'rclone copy', side: 'rclone', params, check },
    ])
    const rivals = [{ name: 'rclone copy', samples: rival }]
    const speed = { unit: 'MiB/s', better: 'more', figure: mibPerSecond, reach: { ratio: 1 } } as const
    const memory = { unit: 'MiB', better: 'less', figure: memoryMib, reach: { atMost: 96 } } as const
    return [
      compare({ ...speed, bench: 'sync-s3-large' }, ours, rivals),
      compare({ ...memory, bench: 'sync-s3-large memory' }, ours, [
        { name: 'nothing: rclone is not watched', samples: rival },
      ]),
    ]
  },
}

/** Of an object in parts: the digest of the digests of its parts, and their number. */
function etagOf(path: string): string {
  const fd = openSync(path, 'r')
  const part = Buffer.alloc(PART_MIB * MIB)
  const digests: Buffer[] = []
  for (let length = readSync(fd, part); length > 0; length = readSync(fd, part))
    digests.push(hash('md5', part.subarray(0, length), 'buffer'))
  closeSync(fd)
  return `"${hash('md5', Buffer.concat(digests))}-${digests.length}"`
}
