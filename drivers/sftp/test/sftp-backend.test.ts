import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import net from 'node:net'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { ChaosProxy } from '@stored/conformance'
import type { LogEvent, StorageError } from '@stored/core/backend'
import { mount, NTFS } from '@stored/services'
import { afterAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { Connection } from '../src/connection.ts'
import { SftpBackend, type SftpBackendOptions } from '../src/index.ts'
import { READ_ONLY, Server } from './server.ts'

const KIB = 1024
const { signal } = new AbortController()
const offered = await Server.offer()
const reason = typeof offered === 'string' ? `, skipped: ${offered}` : ''
const server = offered as Server
afterAll(() => (typeof offered === 'string' ? undefined : offered[Symbol.asyncDispose]()))

let roots = 0

/** With its own root, opened. */
async function openBackend(changes: Partial<SftpBackendOptions> = {}) {
  const root = `${server.root}-${roots++}`
  const options = await server.options({ root, ...changes })
  const backend = new SftpBackend(options)
  onTestFinished(() => backend.close())
  await backend.open({ log: () => {} })
  return { backend, root: options.root, options }
}

/** Over a proxy that can break the connection. */
async function openThroughProxy() {
  const proxy = await ChaosProxy.start({ host: server.host, port: server.port })
  onTestFinished(() => proxy.close())
  return { proxy, ...(await openBackend(proxy.endpoint)) }
}

async function openWith(changes: Partial<SftpBackendOptions>): Promise<void> {
  const backend = new SftpBackend(await server.options(changes))
  onTestFinished(() => backend.close())
  await backend.open({ log: () => {} })
}

/** The warnings for a server that may only run this command. */
async function warningsOf(command: string, changes: Partial<SftpBackendOptions> = {}): Promise<string[]> {
  const privateKey = await server.makeKey(command)
  const backend = new SftpBackend(await server.options({ root: `${server.root}-${roots++}`, privateKey, ...changes }))
  onTestFinished(() => backend.close())
  const events: LogEvent[] = []
  await backend.open({ log: (event) => events.push(event) })
  return events.map(({ level, message }) => `${level}: ${message}`)
}

async function* bodyOf(...chunks: (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield Buffer.from(chunk)
}

async function read(backend: SftpBackend, key: string): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync((await backend.get(key, { signal })).body))
}

function temps(root: string): Promise<string[]> {
  return readdir(join(root, '.stored/tmp'))
}

describe.skipIf(reason)(`open()${reason}`, () => {
  it('of a port where nothing listens is UNAVAILABLE', async () => {
    await expect(openWith({ port: 1 })).rejects.toMatchObject({ code: 'UNAVAILABLE', retryable: true })
  })

  it('of a host without an address is UNAVAILABLE', async () => {
    await expect(openWith({ host: 'nowhere.invalid' })).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  })

  it('of something that is not an SSH server rejects', async () => {
    const http = net.createServer((socket) => socket.on('error', () => {}).end('HTTP/1.1 400 Bad Request\r\n\r\n'))
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void http.close())
    const { port } = http.address() as net.AddressInfo
    await expect(openWith({ port })).rejects.toMatchObject({ code: expect.stringMatching(/UNAVAILABLE|MISCONFIGURED/) })
  })

  it('with another host key is MISCONFIGURED, and names the key that was shown', async () => {
    const wrong = openWith({ hostFingerprint: `SHA256:${'A'.repeat(43)}` })
    await expect(wrong).rejects.toMatchObject({ code: 'MISCONFIGURED' })
    await expect(wrong).rejects.toThrow(server.fingerprint)
  })

  it('finds the host key in a file of known hosts', async () => {
    const knownHosts = join(server.root, '../known_hosts')
    const key = await readFile(server.variable('SFTP_HOST_KEY'), 'utf8')
    await writeFile(knownHosts, `[${server.host}]:${server.port} ${key}`)
    const { hostFingerprint: _, ...options } = await server.options()
    const backend = new SftpBackend({ ...options, knownHosts })
    onTestFinished(() => backend.close())
    await backend.open({ log: () => {} })
  })

  it('with a rejected key or password is UNAUTHENTICATED', async () => {
    const key = await server.makeKey()
    await expect(openWith({ privateKey: key })).rejects.toMatchObject({ code: 'UNAUTHENTICATED', retryable: false })
    const { privateKey: _, ...options } = await server.options({ password: 'not the password' })
    const backend = new SftpBackend(options)
    onTestFinished(() => backend.close())
    await expect(backend.open({ log: () => {} })).rejects.toMatchObject({ code: 'UNAUTHENTICATED' })
  })

  it('calls a function once more for a rejected key', async () => {
    const keys = [await server.makeKey(), await server.key()]
    await openWith({ privateKey: () => keys.shift() as string })
    expect(keys).toEqual([])
  })

  it('accepts an encrypted key with its passphrase, and is MISCONFIGURED without', async () => {
    const privateKey = await server.makeKey('internal-sftp', 'correct horse')
    await openWith({ privateKey, passphrase: async () => 'correct horse' })
    await expect(openWith({ privateKey })).rejects.toMatchObject({ code: 'MISCONFIGURED' })
    await expect(openWith({ privateKey, passphrase: 'wrong' })).rejects.toMatchObject({ code: 'MISCONFIGURED' })
  })

  it('of a root without a parent, or of a file, is MISCONFIGURED', async () => {
    await expect(openWith({ root: join(server.root, 'not/there') })).rejects.toMatchObject({ code: 'MISCONFIGURED' })
    await writeFile(`${server.root}-file`, '')
    await expect(openWith({ root: `${server.root}-file` })).rejects.toMatchObject({ code: 'MISCONFIGURED' })
  })

  it('of a read-only account can read, and answers PERMISSION_DENIED to writes', async () => {
    const { backend, root } = await openBackend()
    await backend.put('key', bodyOf('x'), { signal })
    const reader = (await openBackend({ root, privateKey: await server.makeKey(READ_ONLY) })).backend
    expect(String(await read(reader, 'key'))).toBe('x')
    expect(reader.medium).toBe(backend.medium)
    const denied = { code: 'PERMISSION_DENIED' }
    await expect(reader.put('key', bodyOf('y'), { signal })).rejects.toMatchObject(denied)
    await expect(reader.delete('key', { signal })).rejects.toMatchObject(denied)
    expect(String(await read(backend, 'key'))).toBe('x')
  })

  it('that knows the root creates nothing in its place', async () => {
    const { backend, root, options } = await openBackend()
    await rename(root, `${root}-away`)
    const again = new SftpBackend(options)
    onTestFinished(() => again.close())
    const opened = again.open({ log: () => {}, medium: backend.medium as string })
    await expect(opened).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    await expect(readdir(root)).rejects.toThrow('ENOENT')
  })
})

describe.skipIf(reason)(`a root that was taken away${reason}`, () => {
  const calls: Record<string, (backend: SftpBackend) => Promise<unknown>> = {
    put: (backend) => backend.put('a/b', bodyOf('new'), { signal }),
    get: (backend) => backend.get('a/b', { signal }),
    stat: (backend) => backend.stat('a/b', { signal }),
    delete: (backend) => backend.delete('a/b', { signal }),
    list: (backend) => Array.fromAsync(backend.list({ prefix: '', signal })),
    sweep: (backend) => backend.sweep({ olderThanMs: 0, signal }),
  }

  it.each(Object.keys(calls))('makes %s reject with UNAVAILABLE, and stays away', async (name) => {
    const { backend, root } = await openBackend()
    await rename(root, `${root}-away`)
    await mkdir(root)
    await expect(calls[name]?.(backend)).rejects.toMatchObject({ code: 'UNAVAILABLE', retryable: true })
    expect(await readdir(root)).toEqual([])
  })

  it.each(Object.keys(calls))('and lies behind a link by now makes %s reject with UNAVAILABLE', async (name) => {
    const { backend, root } = await openBackend()
    await backend.put('a/b', bodyOf('old'), { signal })
    await rename(root, `${root}-away`)
    await symlink(`${root}-away`, root)
    await expect(calls[name]?.(backend)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('behind a link'),
    })
    await rm(root)
    await rename(`${root}-away`, root)
    expect(String(await read(backend, 'a/b'))).toBe('old')
    await calls[name]?.(backend)
  })
})

describe.skipIf(reason)(`a server without extensions${reason}`, () => {
  it('is declared to have neither, overwrites with a gap, and keeps nothing else', async () => {
    const bare = 'internal-sftp -P posix-rename,hardlink,fsync,statvfs'
    const { backend, root } = await openBackend({ privateKey: await server.makeKey(bare) })
    expect(backend.capabilities).toMatchObject({ ifAbsent: false, atomicOverwrite: false })
    await backend.put('key', bodyOf('old'), { signal })
    await backend.put('key', bodyOf('new'), { signal })
    expect(String(await read(backend, 'key'))).toBe('new')
    await backend.put('dir/blob', bodyOf('x'), { signal })
    await expect(backend.put('dir', bodyOf('x'), { signal })).rejects.toMatchObject({ code: 'KEY_CONFLICT' })
    expect(await temps(root)).toEqual([])
  })
})

describe.skipIf(reason)(`what the log tells of a server${reason}`, () => {
  it('lists missing features, unless they are not used', async () => {
    const power = 'warn: the server cannot flush files: it may lose what was put when its power fails'
    const gap = expect.stringContaining('cannot replace files in one step')
    expect(await warningsOf('internal-sftp')).toEqual([])
    expect(await warningsOf('internal-sftp -P fsync')).toEqual([power])
    expect(await warningsOf('internal-sftp -P fsync', { fsync: false })).toEqual([])
    expect(await warningsOf('internal-sftp -P posix-rename')).toEqual([gap])
  })
})

describe.skipIf(reason)(`a connection that breaks${reason}`, () => {
  const bytes = randomBytes(512 * KIB)
  const cuts = Array.from({ length: bytes.length / (64 * KIB) + 1 }, (_, i) => i * 64 * KIB)

  it.each(cuts)('after %i bytes of a put leaves the former blob or the new one, whole, and no debris', async (at) => {
    const { backend, root, proxy } = await openThroughProxy()
    await backend.put('key', bodyOf('old'), { signal })
    proxy.cutAfter(at, 'up')
    const failure = await backend.put('key', bodyOf(bytes), { signal }).catch((error: StorageError) => error)
    proxy.heal()
    if (failure instanceof Error) expect(failure).toMatchObject({ code: 'UNAVAILABLE', retryable: true })
    const found = await readFile(join(root, 'key'))
    const isNew = found.equals(bytes)
    expect(isNew || String(found) === 'old').toBe(true)
    if (isNew && failure instanceof Error) expect(failure).toMatchObject({ ambiguous: true })
    await backend.put('other', bodyOf('x'), { signal })
    expect(await temps(root)).toEqual([])
  })

  it.each(cuts)('after %i bytes of a get yields all of them or throws UNAVAILABLE', async (at) => {
    const { backend, proxy } = await openThroughProxy()
    await backend.put('key', bodyOf(bytes), { signal })
    proxy.cutAfter(at, 'down')
    const got = await read(backend, 'key').catch((error: StorageError) => error)
    if (got instanceof Error) expect(got).toMatchObject({ code: 'UNAVAILABLE' })
    else expect(got.equals(bytes)).toBe(true)
  })

  it('between two calls goes unnoticed, though the server was killed and restarted', async () => {
    const { backend } = await openBackend()
    await backend.put('key', bodyOf('x'), { signal })
    await server.stop('SIGKILL')
    await server.start()
    expect(String(await read(backend, 'key'))).toBe('x')
  })

  it('because the server was killed makes a put UNAVAILABLE, and leaves nothing', async () => {
    const { backend, root } = await openBackend()
    async function* body(): AsyncGenerator<Uint8Array> {
      yield bytes
      await server.stop('SIGKILL')
      yield bytes
    }
    await expect(backend.put('key', body(), { signal })).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    await server.start()
    expect(await backend.stat('key', { signal })).toBeNull()
    await backend.put('other', bodyOf('x'), { signal })
    expect(await temps(root)).toEqual([])
  })
})

describe.skipIf(reason)(`an abort${reason}`, () => {
  it('of any call to a server that has gone silent rejects at once', async () => {
    const { backend, proxy } = await openThroughProxy()
    proxy.stall()
    const abort = new AbortController()
    const calls = [
      backend.put('key', bodyOf('x'), { signal: abort.signal }),
      backend.get('key', { signal: abort.signal }),
      backend.stat('key', { signal: abort.signal }),
      backend.delete('key', { signal: abort.signal }),
      backend.list({ prefix: '', signal: abort.signal }).next(),
    ]
    abort.abort(new Error('enough'))
    for (const call of calls) await expect(call).rejects.toMatchObject({ code: 'ABORTED', cause: abort.signal.reason })
  })

  it('of a put whose body hangs releases the body and leaves nothing', async () => {
    const { backend, root } = await openBackend()
    const abort = new AbortController()
    const released = Promise.withResolvers<void>()
    const body = {
      [Symbol.asyncIterator]: () => ({
        next() {
          abort.abort(new Error('enough'))
          return new Promise<never>(() => {})
        },
        async return() {
          released.resolve()
          return { done: true as const, value: undefined }
        },
      }),
    }
    const put = backend.put('key', body, { signal: abort.signal })
    await expect(put).rejects.toMatchObject({ code: 'ABORTED' })
    await released.promise
    await backend.close()
    expect(await temps(root)).toEqual([])
    expect(await readdir(root)).toEqual(['.stored'])
  })
})

describe.skipIf(reason)(`secrets${reason}`, () => {
  it('are in no error, nor in what inspect shows', async () => {
    const privateKey = await server.makeKey()
    const secret = privateKey.split('\n')[2] as string
    const backend = new SftpBackend(await server.options({ privateKey, password: 'the-password' }))
    onTestFinished(() => backend.close())
    const failure = await backend.open({ log: () => {} }).catch((error: unknown) => error)
    const shown = inspect([backend, failure], { depth: 12, showHidden: true }) + JSON.stringify(backend)
    expect(failure).toMatchObject({ code: 'UNAUTHENTICATED' })
    expect(shown).not.toContain(secret)
    expect(shown).not.toContain('the-password')
  })
})

describe.skipIf(reason)(`a name that the medium cannot hold${reason}`, () => {
  /** What holds for a backend whose medium refuses all of these names, whatever the call. */
  async function expectRefusal(backend: SftpBackend, root: string, names: readonly string[]): Promise<void> {
    await backend.put('dir/before', bodyOf('before'), { signal })
    for (const name of names) {
      for (const key of [name, `dir/${name}`, `${name}/below`, `dir/${name}/below/it`]) {
        for (const ifAbsent of [{}, backend.capabilities.ifAbsent ? ({ ifAbsent: true } as const) : {}])
          await expect(backend.put(key, bodyOf('x'), { signal, ...ifAbsent }), key).rejects.toMatchObject({
            code: 'INVALID_KEY',
            at: { op: 'put', key },
            ambiguous: false,
          })
        expect(await backend.stat(key, { signal }), key).toBeNull()
        await expect(backend.get(key, { signal }), key).rejects.toMatchObject({ code: 'NOT_FOUND' })
        await backend.delete(key, { signal })
      }
      expect(await Array.fromAsync(backend.list({ prefix: `${name}/`, signal }))).toEqual([])
    }
    await backend.put('dir/after', bodyOf('after'), { signal })
    expect((await readdir(join(root, 'dir'))).sort()).toEqual(['after', 'before'])
    expect((await readdir(root)).sort()).toEqual(['.stored', 'dir'])
    expect(await temps(root)).toEqual([])
  }

  /**
   * A server whose medium holds no colon: it answers `creating` when such a name is created, `looking` when one is
   * looked up.
   */
  function refuseColons(creating: number, looking: number): void {
    const answer = (code: number) => Object.assign(new Error('no'), { code })
    for (const call of ['rename', 'replace', 'link'] as const) {
      const real = Connection.prototype[call]
      vi.spyOn(Connection.prototype, call).mockImplementation(async function (this: Connection, from, to) {
        if (to.includes(':')) throw answer(creating)
        return real.call(this, from, to)
      })
    }
    const { mkdir: make, lstat, realpath, opendir } = Connection.prototype
    vi.spyOn(Connection.prototype, 'mkdir').mockImplementation(async function (this: Connection, path) {
      if (path.includes(':')) throw answer(creating)
      return make.call(this, path)
    })
    for (const [call, real] of Object.entries({ lstat, realpath, opendir }))
      vi.spyOn(Connection.prototype, call as 'lstat').mockImplementation(async function (this: Connection, path) {
        if (path.includes(':')) throw answer(looking)
        return (real as typeof lstat).call(this, path)
      })
  }

  it.each([
    [5, 5],
    [5, 2],
    [4, 2],
    [2, 2],
  ])('is INVALID_KEY to put, and nothing to all other calls, where it is answered with %i and %i', async (...codes) => {
    const { backend, root } = await openBackend()
    refuseColons(...codes)
    onTestFinished(() => void vi.restoreAllMocks())
    await expectRefusal(backend, root, ['a:b'])
  })

  it('is so on NTFS', async ({ skip }) => {
    const mounted = await mount(NTFS)
    if (typeof mounted === 'string') return skip(mounted)
    await using _ = mounted
    const { backend, root } = await openBackend({ root: join(mounted.path, 'root') })
    await expectRefusal(backend, root, ['a:b', 'CON', 'tail '])
    await backend.close()
  })

  it('is none where the server answers so to every name', async () => {
    const { backend } = await openBackend()
    onTestFinished(() => void vi.restoreAllMocks())
    for (const call of ['replace', 'mkdir'] as const)
      vi.spyOn(Connection.prototype, call).mockRejectedValue(Object.assign(new Error('no'), { code: 4 }))
    await expect(backend.put('key', bodyOf('x'), { signal })).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  })
})

describe.skipIf(reason)(`a put whose directory is removed before it was flushed${reason}`, () => {
  it('is CONFLICT and ambiguous: it was stored, and then somebody deleted it', async () => {
    const { backend, root } = await openBackend()
    onTestFinished(() => void vi.restoreAllMocks())
    const { replace } = Connection.prototype
    vi.spyOn(Connection.prototype, 'replace').mockImplementation(async function (this: Connection, from, to) {
      await replace.call(this, from, to)
      await rm(join(root, 'd'), { recursive: true })
    })
    const put = backend.put('d/e/blob', bodyOf('x'), { signal })
    await expect(put).rejects.toMatchObject({ code: 'CONFLICT', retryable: true, ambiguous: true })
    expect(await backend.stat('d/e/blob', { signal })).toBeNull()
  })
})

describe.skipIf(reason)(`something of another kind in the way of a put${reason}`, () => {
  it.each([
    ['a directory', 'key', (path: string) => mkdir(path)],
    ['a symbolic link', 'key', (path: string) => symlink('elsewhere', path)],
    ['a linked directory', 'key/below', (path: string) => symlink('elsewhere', path)],
    ['a blob', 'key/below', (path: string) => writeFile(path, 'blob')],
  ] as const)('%s is KEY_CONFLICT, stays as it is, and other keys go on', async (_, key, make) => {
    const { backend, root } = await openBackend()
    await make(join(root, 'key'))
    for (const ifAbsent of [{}, { ifAbsent: true } as const])
      await expect(backend.put(key, bodyOf('x'), { signal, ...ifAbsent })).rejects.toMatchObject({
        code: 'KEY_CONFLICT',
        retryable: false,
      })
    await backend.put('other', bodyOf('y'), { signal })
    expect((await read(backend, 'other')).toString()).toBe('y')
    expect((await readdir(root)).sort()).toEqual(['.stored', 'key', 'other'])
  })

  it('another file system is KEY_CONFLICT, since the rest of the root can be written', async ({ skip }) => {
    if (process.getuid?.() !== 0) return skip('only root may mount')
    const { backend, root } = await openBackend()
    await mkdir(join(root, 'mounted'))
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', join(root, 'mounted')])
    try {
      await expect(backend.put('mounted/key', bodyOf('x'), { signal })).rejects.toMatchObject({ code: 'KEY_CONFLICT' })
      await backend.put('other', bodyOf('y'), { signal })
    } finally {
      execFileSync('umount', [join(root, 'mounted')])
    }
    expect(await temps(root)).toEqual([])
  })
})
