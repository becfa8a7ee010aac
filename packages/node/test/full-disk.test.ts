import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { openAt, temp } from './temp.ts'

const dir = await temp()
const disk = path.join(dir.path, 'store')
const mounted = mountTmpfs(disk)
afterAll(async () => {
  if (mounted === null) execFileSync('umount', [disk])
  await dir[Symbol.asyncDispose]()
})

/** @returns `null`, or why there is no small disk. */
function mountTmpfs(at: string): string | null {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'mounting a small tmpfs needs Linux and root'
  try {
    execFileSync('mkdir', ['-p', at])
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=48m', 'tmpfs', at], { stdio: 'pipe' })
    return null
  } catch (error) {
    return `tmpfs cannot be mounted: ${error instanceof Error ? error.message : error}`
  }
}

test.skipIf(mounted !== null)(
  `put() on a disk of 48 MiB ends with NO_SPACE; what was acknowledged is read, synced and deleted${mounted ? ` (${mounted})` : ''}`,
  async () => {
    await using store = await openAt(dir.path, { sync: false, staging: { limit: '1GB' } })
    const acknowledged = new Map<string, Buffer>()
    let failure: unknown
    for (let i = 0; failure === undefined; i++) {
      const bytes = randomBytes(i % 2 === 0 ? 20_000 : 400_000)
      await store.put(bytes, { key: `k${i}` }).then(
        () => acknowledged.set(`k${i}`, bytes),
        (error) => {
          failure = error
        },
      )
    }
    expect(failure).toMatchObject({ code: 'NO_SPACE' })
    expect(acknowledged.size).toBeGreaterThan(10)
    for (const [key, bytes] of acknowledged) expect((await store.get(key)).equals(bytes)).toBe(true)
    const [first] = acknowledged.keys()
    expect(await store.delete(first as string)).toMatchObject({ deleted: [first] })
    // Somebody else fills what was left: nothing can be committed, and the process lives.
    await writeFile(path.join(disk, 'filler'), Buffer.alloc(64 << 20)).catch(() => {})
    await expect(store.put(Buffer.from('x'))).rejects.toMatchObject({ code: 'NO_SPACE' })
    expect((await store.get('k1')).equals(acknowledged.get('k1') as Buffer)).toBe(true)
    await rm(path.join(disk, 'filler'))
    await expect.poll(() => store.delete('k1')).toMatchObject({ deleted: ['k1'] })
  },
)
