import { createHash, hash } from 'node:crypto'
import { createWriteStream, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { GetObjectCommand } from '@aws-sdk/client-s3'
import type { Bench } from '../bench.ts'
import { writeLargeFile } from '../data.ts'
import { compare, memoryMib, mibPerSecond } from '../figures.ts'
import { clientOf, objectOf, openS3Store, S3, startS3 } from '../s3.ts'

const MIB = 1024 * 1024
const KEY = 'large'

export const getS3Large: Bench = {
  name: 'get-s3-large',
  about: `A blob of 256 MiB from Ceph's gateway on this machine into a file, verified; server and client share the processors.
StoreD: get(key, { backend, stream: true }) into createWriteStream. The rival is GetObject of the AWS SDK, piped through SHA-256 into
the same. Memory: highest RssAnon while measured, less that before.`,

  sides: {
    async fill({ directory, params }) {
      const source = join(directory, 'source')
      writeLargeFile(source, Number(params.size), 'get-s3-large')
      await using store = await openS3Store(directory, params)
      await store.put(source, { key: KEY })
      await store.put(Buffer.alloc(MIB), { key: 'warm-up' })
      await store.synced()
    },

    async stored({ directory, params, start, stop }) {
      await using store = await openS3Store(directory, params)
      const get = async (key: string) =>
        pipeline(await store.get(key, { backend: S3, stream: true }), createWriteStream(join(directory, 'target')))
      await get('warm-up')
      await start()
      await get(KEY)
      await stop(Number(params.size))
    },

    async sdk({ directory, params, start, stop }) {
      const client = clientOf(params)
      const get = async (key: string) => {
        const { Body } = await client.send(new GetObjectCommand(objectOf(directory, key)))
        const digest = createHash('sha256')
        const verified = async function* (chunks: AsyncIterable<Uint8Array>) {
          for await (const chunk of chunks) {
            digest.update(chunk)
            yield chunk
          }
        }
        await pipeline(Body as Readable, verified, createWriteStream(join(directory, 'target')))
        return digest.digest('hex')
      }
      await get('warm-up')
      await start()
      const sha256 = await get(KEY)
      await stop(Number(params.size))
      if (sha256 !== digestOf(join(directory, 'source'))) throw new Error('it got other bytes')
    },
  },

  async run(lab) {
    const { service, params: server } = await startS3()
    await using _ = service
    const directory = lab.makeDirectory()
    const params = { ...server, size: lab.scaled(256) * MIB }
    await lab.prepare('fill', directory, params)
    const check = async (place: string): Promise<void> => {
      if (digestOf(join(place, 'target')) !== digestOf(join(place, 'source'))) throw new Error('it got other bytes')
    }
    const [ours = [], rival = []] = await lab.compete([
      { name: 'StoreD', side: 'stored', params, directory, check },
      { name: 'GetObject + sha256', side: 'sdk', params, directory, check },
    ])
    const rivals = [{ name: 'GetObject of the AWS SDK + sha256', samples: rival }]
    const speed = { unit: 'MiB/s', better: 'more', figure: mibPerSecond, reach: { ratio: 0.9 } } as const
    const memory = { unit: 'MiB', better: 'less', figure: memoryMib, reach: { atMost: 32 } } as const
    return [
      compare({ ...speed, bench: 'get-s3-large' }, ours, rivals),
      compare({ ...memory, bench: 'get-s3-large memory' }, ours, rivals),
    ]
  },
}

function digestOf(path: string): string {
  return hash('sha256', readFileSync(path))
}
