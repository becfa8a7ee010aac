import { hash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Bench } from '../bench.ts'
import { inFlight, writeLargeFile } from '../data.ts'
import { compare, rate } from '../figures.ts'
import { checkObjects, openS3Store, rclone, startS3 } from '../s3.ts'

const KIB = 1024
/** As many as the driver declares. */
const IN_FLIGHT = 16

export const syncS3: Bench = {
  name: 'sync-s3',
  about: `2,000 files of 64 KiB, in the page cache, to Ceph's gateway on this machine, ${IN_FLIGHT} in flight; server and client share
the processors. StoreD: put(path, { key }) of each and synced(), from the first put on: hashed, staged, flushed, recorded, read
again, sent only where nothing lies (If-None-Match). The rival is rclone copy --transfers ${IN_FLIGHT} --checkers ${IN_FLIGHT} --s3-no-check-bucket
--no-traverse, with its start. It looks for each object beforehand and overwrites what comes meanwhile; with --immutable it refuses to change what
it found. After each round the etag of every object is compared with the MD5 of its file.`,

  sides: {
    async source({ directory, params }) {
      const source = join(directory, 'source')
      mkdirSync(source)
      for (let i = 0; i < Number(params.count); i++) writeLargeFile(join(source, `${i}.bin`), 64 * KIB, `sync-s3 ${i}`)
    },

    async stored({ directory, params, start, stop }) {
      const names = readdirSync(String(params.source))
      await using store = await openS3Store(directory, params)
      await store.put(Buffer.alloc(4096), { key: 'warm-up' })
      await store.synced()
      await start()
      await inFlight(IN_FLIGHT, names, (name) => store.put(join(String(params.source), name), { key: name }))
      await store.synced()
      await stop(names.length)
    },

    async rclone({ directory, params, start, stop }) {
      const options = [
        `--transfers=${IN_FLIGHT}`,
        `--checkers=${IN_FLIGHT}`,
        ...(params.immutable ? ['--immutable'] : []),
      ]
      await start()
      rclone(String(params.source), directory, params, options)
      await stop(Number(params.count))
    },
  },

  async run(lab) {
    const { service, params: server } = await startS3()
    await using _ = service
    const directory = lab.makeDirectory()
    const source = join(directory, 'source')
    const params = { ...server, source, count: lab.scaled(2_000, IN_FLIGHT) }
    await lab.prepare('source', directory, params)
    const etags = new Map(
      readdirSync(source).map((name) => [name, `"${hash('md5', readFileSync(join(source, name)))}"`]),
    )
    const check = (place: string) => checkObjects(place, params, etags)
    const [ours = [], rival = [], immutable = []] = await lab.compete([
      { name: 'StoreD', side: 'stored', params, check },
      { name: 'rclone copy', side: 'rclone', params, check },
      { name: 'rclone copy --immutable', side: 'rclone', params: { ...params, immutable: 1 }, check },
    ])
    const what = {
      bench: 'sync-s3',
      unit: 'files/s',
      better: 'more',
      figure: rate,
      reach: { ratio: 1, stretch: 1.5 },
    } as const
    return [
      compare(what, ours, [{ name: 'rclone copy', samples: rival }]),
      compare(what, ours, [{ name: 'rclone copy --immutable', samples: immutable }]),
    ]
  },
}
