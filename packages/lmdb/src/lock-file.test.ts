import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmod } from 'node:fs/promises'
import path from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { testDirectory } from '@stored/testing/directory'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { LmdbLedger } from './lmdb-ledger.ts'
import * as holders from './lock-holders.ts'

let directory: string
beforeEach(async () => {
  directory = await testDirectory()
})
afterEach(async () => {
  vi.restoreAllMocks()
})

const open = () => LmdbLedger.open({ path: directory, reserve: 0 })

/** Takes a shared lock, for which reading is enough, of so many bytes from the first one; 0: of all. @see fcntl(2), F_SETLK */
const LOCK = `
  use Fcntl qw(F_RDLCK F_SETLK SEEK_SET);
  $| = 1;
  open(my $file, '<', $ARGV[0]) or die $!;
  fcntl($file, F_SETLK, pack('s s x4 q q i x4', F_RDLCK, SEEK_SET, 0, $ARGV[1], 0)) or die $!;
  print "locked\\n";
  <STDIN>;
`
const NOBODY = process.getuid?.() === 0 ? { uid: 65_534 } : {}

async function lock(name: string, bytes: number): Promise<ChildProcessByStdio<Writable, Readable, null>> {
  await chmod(directory, 0o755)
  await chmod(path.join(directory, name), 0o644)
  const child = spawn('perl', ['-e', LOCK, path.join(directory, name), String(bytes)], {
    stdio: ['pipe', 'pipe', 'inherit'],
    ...NOBODY,
  })
  await once(child.stdout, 'data')
  return child
}

async function unlock(child: ChildProcessByStdio<Writable, Readable, null>): Promise<void> {
  const closed = once(child, 'close')
  child.stdin.end()
  await closed
}

const reason =
  process.platform !== 'linux'
    ? ' (skipped: needs /proc/locks)'
    : spawnSync('perl', ['-e', '']).status === 0
      ? ''
      : ' (skipped: perl is missing)'

describe.skipIf(reason !== '')(`LmdbLedger.open() while a user who may only read has a lock on${reason}`, () => {
  const files = ['opening.mdb-lock', 'committing.mdb-lock', 'index.mdb-lock']

  test.each(files.flatMap((name) => [[name, 'all', 0] as const, [name, 'the first byte', 1] as const]))(
    '%s, on %s of it, names file, mode and process, and opens once it is gone',
    async (name, _, bytes) => {
      await (await open()).close()
      const child = await lock(name, bytes)
      await expect(open()).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        retryable: true,
        message: expect.stringMatching(
          `${name} \\(owner \\d+, mode 0644\\) is locked by process ${child.pid}.*doctor --fix`,
        ),
      })
      await unlock(child)
      await (await open()).close()
    },
  )

  test('it waits for a lock that is soon gone', async () => {
    await (await open()).close()
    const child = await lock('index.mdb-lock', 0)
    const looks = vi.spyOn(holders, 'locksOf')
    const opening = open()
    await expect.poll(() => looks.mock.settledResults.some(({ value }) => (value as unknown[])?.length > 0)).toBe(true)
    await unlock(child)
    await (await opening).close()
  })

  test.each(files)(
    '%s, where the system does not show locks, rejects UNAVAILABLE without the words of LMDB',
    async (name) => {
      await (await open()).close()
      const child = await lock(name, 0)
      vi.spyOn(holders, 'locksOf').mockResolvedValue([])
      await expect(open()).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        message: expect.stringMatching(`^open: UNAVAILABLE: ${name} .* is locked by another process`),
      })
      await unlock(child)
    },
  )
})
