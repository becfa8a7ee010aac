import { createHash } from 'node:crypto'
import { join } from 'node:path'
import type { Bench } from '../bench.ts'
import { close, fdatasync, open, read, write } from '../callbacks.ts'
import { writeLargeFile } from '../data.ts'
import { compare, medianOf, memoryMib, mibPerSecond, readsPerByte } from '../figures.ts'
import { openBenchStore } from '../stores.ts'

const CHUNK = 1024 * 1024

export const putLarge: Bench = {
  name: 'put-large',
  about: `A file of 1 GiB in the page cache, one at a time, durable on both sides.
StoreD: put(path), acknowledged; it does not sync meanwhile. Plain loop: read, SHA-256, write of 1 MiB at a time, then fdatasync,
one after the other. Memory: highest RssAnon while measured, less that after opening and one put that warms up. "Bytes read"
counts every read() of the process, so 1 means that the source was read once.`,

  sides: {
    async source({ directory, params }) {
      writeLargeFile(join(directory, 'source'), Number(params.size), 'put-large')
    },

    async stored({ directory, params, start, stop }) {
      const store = await openBenchStore(directory, false)
      await store.put(Buffer.alloc(4096))
      await start()
      const { size } = await store.put(String(params.source))
      await stop(size)
      await store.close()
    },

    async loop({ directory, params, start, stop }) {
      await copyDurably(import.meta.filename, join(directory, 'warm-up'))
      await start()
      await stop(await copyDurably(String(params.source), join(directory, 'copy')))
    },
  },

  async run(lab) {
    const directory = lab.makeDirectory()
    await lab.prepare('source', directory, { size: lab.scaled(1024) * CHUNK })
    const params = { source: join(directory, 'source') }
    const [ours = [], rival = []] = await lab.compete([
      { name: 'StoreD', side: 'stored', params },
      { name: 'plain loop', side: 'loop', params },
    ])
    const against = [{ name: 'read + sha256 + write + fdatasync', samples: rival }]
    const bench = 'put-large'
    const results = [
      compare({ bench, unit: 'MiB/s', better: 'more', figure: mibPerSecond, reach: { ratio: 0.9 } }, ours, against),
    ]
    if (medianOf(ours, memoryMib) !== null)
      results.push(
        compare(
          { bench, unit: 'bytes read/byte', better: 'less', figure: readsPerByte, reach: { atMost: 1.01 } },
          ours,
          against,
        ),
        compare({ bench, unit: 'MiB memory', better: 'less', figure: memoryMib, reach: { atMost: 64 } }, ours, against),
      )
    return results
  },
}

async function copyDurably(source: string, target: string): Promise<number> {
  const from = await open(source, 'r')
  const to = await open(target, 'wx')
  const digest = createHash('sha256')
  const buffer = Buffer.allocUnsafeSlow(CHUNK)
  let size = 0
  for (;;) {
    const { bytesRead } = await read(from, buffer)
    if (bytesRead === 0) break
    const chunk = buffer.subarray(0, bytesRead)
    digest.update(chunk)
    await write(to, chunk)
    size += bytesRead
  }
  digest.digest('hex')
  await fdatasync(to)
  close(from)
  close(to)
  return size
}
