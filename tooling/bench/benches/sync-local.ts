import { spawnSync } from 'node:child_process'
import { hash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Bench } from '../bench.ts'
import { close, fsync, open, readFile, write } from '../callbacks.ts'
import { inFlight, writeTree } from '../data.ts'
import { compare, rate } from '../figures.ts'
import type { Contestant } from '../lab.ts'
import type { Params, Side } from '../side.ts'
import { DISK, openBenchStore } from '../stores.ts'

const IN_FLIGHT = 8

/** Other tools, for information: what they copy is not flushed. */
const TOOLS = [
  { name: 'cp -r, not durable', side: 'cp', program: 'cp' },
  { name: `rclone copy --transfers ${IN_FLIGHT}, not durable`, side: 'rclone', program: 'rclone' },
]

function namesOf({ source }: Params): string[] {
  return JSON.parse(readFileSync(`${source}.json`, 'utf8')) as string[]
}

export const syncLocal: Bench = {
  name: 'sync-local',
  about: `10,000 files of 1 to 64 KiB, a hundred in a folder, in the page cache, from one folder to another, ${IN_FLIGHT} in flight.
StoreD: put(path, { key }) of each and synced(): every file is hashed, staged, recorded, then copied to the fs backend under its
own name, flushed, renamed, and its directory flushed. The rival reads a file, writes it and calls fsync; it hashes, records
and renames nothing. cp and rclone are for information. After each round every copied byte is compared with its source.`,

  sides: {
    async source({ directory, params }) {
      const names = writeTree(join(directory, 'source'), Number(params.count), 'sync-local')
      writeFileSync(join(directory, 'source.json'), JSON.stringify(names))
    },

    async stored({ directory, params, start, stop }) {
      const names = namesOf(params)
      const store = await openBenchStore(directory, true)
      await store.put(Buffer.alloc(4096), { key: '.warm-up' })
      await store.synced()
      await start()
      await inFlight(IN_FLIGHT, names, (name) => store.put(join(String(params.source), name), { key: name }))
      await store.synced()
      await stop(names.length)
      await store.close()
    },

    async files({ directory, params, start, stop }) {
      const names = namesOf(params)
      await start()
      await inFlight(IN_FLIGHT, names, async (name) => {
        const bytes = await readFile(join(String(params.source), name))
        const target = join(directory, DISK, name)
        mkdirSync(dirname(target), { recursive: true })
        const fd = await open(target, 'wx')
        await write(fd, bytes)
        await fsync(fd)
        close(fd)
      })
      await stop(names.length)
    },

    cp: tool((source, target) => ['cp', ['-r', source, target]]),
    rclone: tool((source, target) => [
      'rclone',
      ['copy', '--config', '', '--transfers', String(IN_FLIGHT), source, target],
    ]),
  },

  async run(lab) {
    const directory = lab.makeDirectory()
    const params = { count: lab.scaled(10_000, IN_FLIGHT), source: join(directory, 'source') }
    await lab.prepare('source', directory, params)
    const check = async (place: string): Promise<void> => compareTrees(params, join(place, DISK))
    const there = TOOLS.filter(({ program }) => spawnSync(program, ['--version']).error === undefined)
    const rivals = [{ name: 'copy with fsync per file', side: 'files' }, ...there]
    const contestants = [{ name: 'StoreD', side: 'stored' }, ...rivals].map(
      ({ name, side }): Contestant => ({ name, side, params, check }),
    )
    const [ours = [], ...samples] = await lab.compete(contestants)
    const what = { bench: 'sync-local', unit: 'files/s', better: 'more', figure: rate } as const
    return rivals.map(({ name }, i) =>
      compare({ ...what, ...(i === 0 && { reach: { ratio: 0.8 } }) }, ours, [{ name, samples: samples[i] ?? [] }]),
    )
  },
}

function tool(command: (source: string, target: string) => [string, string[]]): Side {
  return async ({ directory, params, start, stop }) => {
    const [program, args] = command(String(params.source), join(directory, DISK))
    await start()
    const { status, error, stderr } = spawnSync(program, args, { encoding: 'utf8' })
    if (error || status !== 0) throw error ?? new Error(`${program} failed: ${stderr}`)
    await stop(namesOf(params).length)
  }
}

function compareTrees(params: Params, copy: string): void {
  const digest = (path: string) => hash('sha256', readFileSync(path))
  for (const name of namesOf(params))
    if (digest(join(String(params.source), name)) !== digest(join(copy, name)))
      throw new Error(`${name} was not copied`)
}
