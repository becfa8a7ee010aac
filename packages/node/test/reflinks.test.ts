import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { conformance } from '@stored/conformance'
import type { PutOptions, Stat } from '@stored/core/backend'
import { FsBackend } from '@stored/driver-fs'
import { openStore } from '@stored/node'
import { BTRFS, EXT4, type Medium, type Mounted, mount, XFS } from '@stored/services'
import { afterAll, describe, expect, it, test } from 'vitest'

const SIZE = 8 * 2 ** 20
const BYTES = randomBytes(SIZE)
const ID = `sha256:${createHash('sha256').update(BYTES).digest('hex')}` as const

const media = await Promise.all(
  [XFS, BTRFS, EXT4].map(async (medium): Promise<[Medium, Mounted | string]> => [medium, await mount(medium)]),
)
afterAll(async () => {
  for (const [, mounted] of media) if (typeof mounted !== 'string') await mounted[Symbol.asyncDispose]()
})

for (const [{ name }, mounted] of media) {
  const why = typeof mounted === 'string' ? `: ${mounted}` : ''
  const place = typeof mounted === 'string' ? '' : mounted.path
  const sharing = name !== 'ext4'

  describe.skipIf(why !== '')(`a store and its backends on ${name}${why}`, () => {
    test(`${sharing ? 'share' : 'copy'} the blocks of a blob`, async () => {
      const at = (part: string) => path.join(place, 'blocks', part)
      const backends = { a: { driver: 'fs', root: at('a') }, b: { driver: 'fs', root: at('b') } }
      await using store = await openStore({ path: at('store'), backends })
      await store.put(BYTES, { key: 'blob' })
      await store.synced()
      expect((await store.stat('blob'))?.locations.map(({ state }) => state)).toEqual(['synced', 'synced'])
      for (const part of ['a/blob', 'b/blob']) {
        expect((await readFile(at(part))).equals(BYTES)).toBe(true)
        expect(execFileSync('filefrag', ['-v', at(part)], { encoding: 'utf8' }).includes('shared')).toBe(sharing)
      }
    })

    test('never count a staged file as synced in which a bit was flipped', async () => {
      const { store, root, staged } = await stage('flipped', (options) => new FsBackend(options))
      const bytes = await readFile(staged)
      bytes[SIZE / 2] = (bytes[SIZE / 2] as number) ^ 1
      await writeFile(staged, bytes)
      expect(await sync(store)).toEqual([{ state: 'failed', code: 'CHECKSUM_MISMATCH' }])
      expect(await readdir(root)).toEqual(['.stored'])
    })

    test('never count a file as synced that took the place of the staged one during the put', async () => {
      let puts = 0
      class Replaced extends FsBackend {
        override async put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
          const other = `${staged}.other`
          if (puts++ === 0) await writeFile(other, Buffer.alloc(SIZE)).then(() => rename(other, staged))
          return super.put(key, body, options)
        }
      }
      const { store, root, staged } = await stage('replaced', (options) => new Replaced(options))
      const locations = await sync(store)
      // Without reflinks the bytes are those of the open file, whatever its name came to be.
      if (!sharing) return expect(locations).toEqual([{ state: 'synced' }])
      expect(locations).toEqual([{ state: 'failed', code: 'CHECKSUM_MISMATCH' }])
      expect([puts, await readdir(root)]).toEqual([2, ['.stored']])
    })

    test('bring a blob to its backend whose staged file is removed during the put', async () => {
      class Removed extends FsBackend {
        override async put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
          await rm(staged)
          return super.put(key, body, options)
        }
      }
      const { store, root, staged } = await stage('removed', (options) => new Removed(options))
      expect(await sync(store)).toEqual([{ state: 'synced' }])
      expect((await readFile(path.join(root, 'blob'))).equals(BYTES)).toBe(true)
    })
  })

  /** A store that owes the blob to its one backend, and does not sync. */
  async function stage(part: string, make: (options: { root: string }) => FsBackend) {
    const directory = path.join(place, part, 'store')
    const root = path.join(place, part, 'data')
    await using store = await openStore({ path: directory, sync: false, backends: { a: new FsBackend({ root }) } })
    await store.put(BYTES, { key: 'blob' })
    const [file] = await stagedFiles(path.join(directory, 'staging'))
    return {
      store: { path: directory, backends: { a: make({ root }) } },
      root,
      staged: file as string,
    }
  }

  /** What became of the copies once there is nothing left to do. */
  async function sync(config: Parameters<typeof openStore>[0]) {
    await using store = await openStore(config)
    await store.synced(ID).catch(() => {})
    const { locations } = (await store.stat('blob')) as NonNullable<Awaited<ReturnType<typeof store.stat>>>
    return locations.map(({ state, error }) => ({ state, ...(error && { code: error.code }) }))
  }

  if (sharing && !why)
    conformance(
      { name: `fs on ${name}`, open: async () => new FsBackend({ root: path.join(place, 'kit') }) },
      { describe, it },
      { only: ['src.file'] },
    )
}

/** Those that hold bytes: beside them lies a note whose they are. */
async function stagedFiles(directory: string): Promise<string[]> {
  const files = (await readdir(directory)).map((name) => path.join(directory, name))
  const sizes = await Promise.all(files.map((file) => stat(file)))
  return files.filter((_, i) => sizes[i]?.size === SIZE)
}
