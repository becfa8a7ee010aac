import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chown, readdir } from 'node:fs/promises'
import path from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { openAt, temp } from './temp.ts'

const CHILD = fileURLToPath(new URL('containers.child.ts', import.meta.url))
/** A PID namespace of its own, whose process 1 is the command: what a container is to LMDB. */
const CONTAINER = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child']
const USER = 65_534
const AS_USER = ['setpriv', `--reuid=${USER}`, `--regid=${USER}`, '--clear-groups']
const hidden =
  spawnSync(process.execPath, ['--check', CHILD], { uid: USER, gid: USER, stdio: 'ignore' }).status === 0
    ? ''
    : ' (skipped: needs root, and sources that other users may read)'
const reason = spawnSync('unshare', [...CONTAINER.slice(1), 'true']).status === 0 ? null : 'a PID namespace needs root'

/** Starts a process that opens the store of a directory. */
class Opener implements AsyncDisposable {
  readonly #process: ChildProcessByStdio<Writable, Readable, null>
  readonly #lines: AsyncIterator<string>

  constructor(directory: string, key: string, container: readonly string[] = CONTAINER) {
    const [command = '', ...args] = [...container, process.execPath, CHILD, directory, key]
    this.#process = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#lines = createInterface(this.#process.stdout)[Symbol.asyncIterator]()
  }

  async says(): Promise<unknown> {
    return JSON.parse((await this.#lines.next()).value as string)
  }

  /** What it reads under a key now. */
  async read(key: string): Promise<string> {
    this.#process.stdin.write(`${key}\n`)
    return (await this.#lines.next()).value as string
  }

  async kill(): Promise<void> {
    const ended = once(this.#process, 'close')
    this.#process.kill('SIGKILL')
    await ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    const ended = once(this.#process, 'close')
    this.#process.stdin.end()
    await ended
  }
}

/** The sockets that say who has the store open. */
async function openers(directory: string): Promise<string[]> {
  return (await readdir(path.join(directory, 'store'))).filter((name) => name.startsWith('open-'))
}

const refused = {
  code: 'CONFLICT',
  message: expect.stringMatching(/process 1 of another PID namespace.*--pid=container/),
}

describe.skipIf(reason !== null)(`containers that share a store${reason ? ` (skipped: ${reason})` : ''}`, () => {
  test('and are both process 1: the second is told why it may not, and the first goes on', async () => {
    await using at = await temp()
    await using first = new Opener(at.path, 'first')
    expect(await first.says()).toEqual({ pid: 1, put: 'first', syncing: 'here' })
    const before = await openers(at.path)
    await using second = new Opener(at.path, 'second')
    expect(await second.says()).toEqual({ pid: 1, ...refused })
    expect(await openers(at.path)).toEqual(before)
    expect(await first.read('first')).toBe('first')
  })

  test('and the host, whose processes have other numbers: the same', async () => {
    await using at = await temp()
    await using first = new Opener(at.path, 'first')
    await first.says()
    await expect(openAt(at.path)).rejects.toMatchObject(refused)
    expect(await first.read('first')).toBe('first')
  })

  test('one after the other: the next one opens it once the one before has closed it, or was killed', async () => {
    await using at = await temp()
    {
      await using first = new Opener(at.path, 'first')
      await first.says()
    }
    const second = new Opener(at.path, 'second')
    expect(await second.says()).toMatchObject({ put: 'second' })
    await second.kill()
    await using store = await openAt(at.path)
    expect((await store.get('second')).toString()).toBe('second')
  })

  test.skipIf(hidden !== '')(
    `one of them as root, which was killed: the user whose store it is opens it, and syncs it${hidden}`,
    async () => {
      await using at = await temp()
      const root = new Opener(at.path, 'root')
      await root.says()
      await root.kill()
      for (const name of ['.', ...(await readdir(at.path, { recursive: true }))])
        if (!name.endsWith('.sock')) await chown(path.join(at.path, name), USER, USER)
      await using owner = new Opener(at.path, 'owner', AS_USER)
      expect(await owner.says()).toMatchObject({ put: 'owner', syncing: 'here' })
      expect(await openers(at.path)).toHaveLength(1)
    },
  )

  test('two processes of one container both open it', async () => {
    await using at = await temp()
    await using store = await openAt(at.path)
    await using second = new Opener(at.path, 'second', [])
    expect(await second.says()).toMatchObject({ put: 'second' })
    expect((await store.get('second')).toString()).toBe('second')
  })
})
