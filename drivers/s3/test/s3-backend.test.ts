import { hash } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ChaosProxy } from '@stored/conformance'
import { StorageError } from '@stored/core/backend'
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { S3Backend } from '../src/index.ts'
import { bytesOf, chunksOf, PART_BYTES, put, read, signal } from './bytes.ts'
import { keysOf, openBackend, service, thePlace, theService } from './fixture.ts'
import type { Passing } from './gate.ts'
import { throughDoor } from './path-door.ts'

const why = typeof service === 'string' ? `, left out: ${service}` : ''
const describeHere = describe.skipIf(why !== '')
const isPart = (number: number) => (passing: Passing) => passing.path.includes(`partNumber=${number}&`)
const isCompletion = ({ method, path }: Passing) => method === 'POST' && path.includes('uploadId=')
const slowDown = { status: 503, code: 'SlowDown' }

describeHere(`put${why}`, () => {
  it('of more than a part sends equal parts, the last one apart', async () => {
    const { backend, gate } = await openBackend()
    const bytes = bytesOf(2 * PART_BYTES + 1)
    const { etag } = await put(backend, 'blob', bytes)
    expect(etag).toMatch(/-3"$/)
    expect(gate.passed.filter(({ path }) => path.includes('partNumber='))).toHaveLength(3)
    expect(bytes.equals(await read(await backend.get('blob', { signal })))).toBe(true)
    expect((await backend.stat('blob', { signal }))?.etag).toBe(etag)
  })

  it('of an unknown size stores the whole body', async () => {
    const { backend } = await openBackend()
    const bytes = bytesOf(2 * PART_BYTES + 1)
    expect(await backend.put('blob', chunksOf(bytes), { signal })).toMatchObject({ size: bytes.length })
    expect(bytes.equals(await read(await backend.get('blob', { signal })))).toBe(true)
  })

  it.each([1, 2, 3, 4])(
    'aborted at part %i rejects with ABORTED, shows nothing and leaves no upload',
    async (number) => {
      const { backend, gate } = await openBackend()
      const abort = new AbortController()
      gate.judge = async (passing) => {
        if (isPart(number)(passing)) abort.abort(new Error('stop'))
        return null
      }
      const putting = put(backend, 'blob', bytesOf(4 * PART_BYTES), abort.signal)
      await expect(putting).rejects.toMatchObject({ code: 'ABORTED' })
      expect(await backend.stat('blob', { signal })).toBe(null)
      expect(await thePlace().uploads()).toEqual([])
    },
  )

  it('whose part is refused twice sends it a third time', async () => {
    const { backend, gate } = await openBackend()
    let refusals = 2
    gate.judge = (passing) => (isPart(2)(passing) && refusals-- > 0 ? slowDown : null)
    const bytes = bytesOf(3 * PART_BYTES)
    await put(backend, 'blob', bytes)
    expect(bytes.equals(await read(await backend.get('blob', { signal })))).toBe(true)
  })

  it.each([1, 2, 3])('whose part %i is refused for good rejects as retryable and leaves no upload', async (number) => {
    const { backend, gate } = await openBackend()
    gate.judge = (passing) => (isPart(number)(passing) ? slowDown : null)
    const putting = put(backend, 'blob', bytesOf(3 * PART_BYTES))
    await expect(putting).rejects.toMatchObject({ code: 'RATE_LIMITED', retryable: true })
    expect(await keysOf(backend)).toEqual([])
    expect(await thePlace().uploads()).toEqual([])
  })

  it('rejects with an error that comes inside a 200 from CompleteMultipartUpload', async () => {
    const { backend, gate } = await openBackend()
    gate.judge = (passing) => (isCompletion(passing) ? { status: 200, code: 'InternalError' } : null)
    const putting = put(backend, 'blob', bytesOf(2 * PART_BYTES))
    await expect(putting).rejects.toMatchObject({ code: 'UNAVAILABLE', ambiguous: true })
    expect(await thePlace().uploads()).toEqual([])
  })

  it('whose upload someone has removed rejects with CONFLICT, which may be retried', async () => {
    const { backend, gate } = await openBackend()
    gate.judge = (passing) => (isCompletion(passing) ? { status: 404, code: 'NoSuchUpload' } : null)
    const putting = put(backend, 'blob', bytesOf(2 * PART_BYTES))
    await expect(putting).rejects.toMatchObject({ code: 'CONFLICT', retryable: true })
  })

  it('keeps the upload of a checkpoint, records what has arrived of it, and sends what is missing', async () => {
    const { backend, gate } = await openBackend()
    const bytes = bytesOf(4 * PART_BYTES)
    const named = { signal, size: bytes.length, sha256: hash('sha256', bytes) }
    const checkpoints: string[] = []
    const onCheckpoint = async (checkpoint: string) => void checkpoints.push(checkpoint)
    gate.judge = (passing) => (isPart(3)(passing) ? slowDown : null)
    await expect(backend.put('blob', chunksOf(bytes), { ...named, onCheckpoint })).rejects.toThrow('SlowDown')
    gate.judge = () => null
    gate.passed.length = 0
    await backend.put('blob', chunksOf(bytes), { ...named, onCheckpoint, checkpoint: checkpoints[0] as string })
    expect(gate.passed.filter(({ path }) => path.includes('partNumber=1&'))).toHaveLength(0)
    expect(gate.passed.filter(isPart(3))).toHaveLength(1)
    expect(checkpoints.map((text) => JSON.parse(text).arrived)).toEqual([0, 3])
    expect(bytes.equals(await read(await backend.get('blob', { signal })))).toBe(true)
  })

  it('from the checkpoint of an upload that was completed sends no byte of it again', async () => {
    const { backend, gate } = await openBackend()
    const bytes = bytesOf(3 * PART_BYTES)
    const named = { signal, size: bytes.length, sha256: hash('sha256', bytes), ifAbsent: true } as const
    const checkpoints: string[] = []
    const onCheckpoint = async (checkpoint: string) => void checkpoints.push(checkpoint)
    await backend.put('blob', chunksOf(bytes), { ...named, onCheckpoint })
    gate.passed.length = 0
    const again = backend.put('blob', chunksOf(bytes), { ...named, onCheckpoint, checkpoint: checkpoints[0] as string })
    await expect(again).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
    expect(gate.passed.filter(({ path }) => path.includes('partNumber='))).toEqual([])
  })

  it('does not change the credentials that it was given', async () => {
    const credentials = Object.freeze({ ...thePlace().identity })
    const { backend } = await openBackend({ credentials })
    await put(backend, 'blob', bytesOf(1))
    expect(Object.getOwnPropertyNames(credentials)).toEqual(['accessKeyId', 'secretAccessKey'])
  })

  it('cut off at every 64 KiB has stored the blob or says that it may be retried, and never half of it', async () => {
    const proxy = await startProxy()
    const { backend } = await openBackend({ endpoint: urlOf(proxy) })
    const bytes = bytesOf(1 << 20)
    for (let at = 0; at <= bytes.length; at += 64 << 10) {
      proxy.cutAfter(at, 'up')
      const failure = await put(backend, `blob${at}`, bytes).catch((error) => error)
      proxy.heal()
      if (failure instanceof Error) expect(failure).toMatchObject({ code: 'UNAVAILABLE', retryable: true })
      const found = await backend.stat(`blob${at}`, { signal })
      if (found !== null) expect(bytes.equals(await read(await backend.get(`blob${at}`, { signal })))).toBe(true)
    }
  })

  it('tells what goes out while a part is under way: a slow line is no stall', async () => {
    const proxy = await startProxy()
    const { backend } = await openBackend({ endpoint: urlOf(proxy), partSize: 16 << 20 })
    const bytes = bytesOf(16 << 20)
    proxy.throttle(4 << 20, 'up')
    const { size } = await backend.put('blob', chunksOf(bytes), { size: bytes.length, ...idleAfter(2500) })
    expect(size).toBe(bytes.length)
  })

  it('reports nothing that a silent line has not taken', async () => {
    const proxy = await startProxy()
    const { backend } = await openBackend({ endpoint: urlOf(proxy), partSize: 16 << 20 })
    const bytes = bytesOf(16 << 20)
    proxy.stall('up')
    const putting = backend.put('blob', chunksOf(bytes), { size: bytes.length, ...idleAfter(1000) })
    await expect(putting).rejects.toMatchObject({ code: 'ABORTED' })
  })

  it('whose server is killed half-way rejects as retryable, and the next one succeeds', async () => {
    const { backend, gate } = await openBackend()
    const service = theService()
    gate.judge = async (passing) => {
      if (isPart(2)(passing)) await service.stop('SIGKILL')
      return null
    }
    const bytes = bytesOf(3 * PART_BYTES)
    await expect(put(backend, 'blob', bytes)).rejects.toMatchObject({ code: 'UNAVAILABLE', retryable: true })
    gate.judge = () => null
    await service.start()
    expect(await backend.stat('blob', { signal })).toBe(null)
    await put(backend, 'blob', bytes)
    expect(bytes.equals(await read(await backend.get('blob', { signal })))).toBe(true)
    await backend.sweep({ olderThanMs: -60_000, signal })
    expect(await thePlace().uploads()).toEqual([])
  })
})

describeHere(`get${why}`, () => {
  it('cut off at every 64 KiB throws as retryable after no other bytes than those of the blob', async () => {
    const proxy = await startProxy()
    const { backend } = await openBackend({ endpoint: urlOf(proxy) })
    const bytes = bytesOf(1 << 20)
    await put(backend, 'blob', bytes)
    for (let at = 0; at < bytes.length; at += 64 << 10) {
      proxy.cutAfter(at, 'down')
      const got: Uint8Array[] = []
      const failure = await (async () => {
        for await (const chunk of (await backend.get('blob', { signal })).body) got.push(chunk)
      })().catch((error) => error)
      proxy.heal()
      expect(failure).toMatchObject({ code: 'UNAVAILABLE', retryable: true })
      expect(bytes.indexOf(Buffer.concat(got))).toBe(0)
    }
  })

  it('rejects with UNSUPPORTED for a blob that is archived', async () => {
    const { backend, gate } = await openBackend()
    gate.judge = () => ({ status: 403, code: 'InvalidObjectState' })
    await expect(backend.get('blob', { signal })).rejects.toMatchObject({ code: 'UNSUPPORTED' })
  })
})

describeHere(`list${why}`, () => {
  it('leaves out the markers of empty folders, the probes, and what lies outside of its prefix', async () => {
    const { backend } = await openBackend({ prefix: 'mine/' })
    await thePlace().write('mine/folder/', new Uint8Array())
    await thePlace().write('other', Buffer.from('x'))
    await put(backend, 'folder/a b+c%20', Buffer.from('x'))
    expect(await keysOf(backend)).toEqual(['folder/a b+c%20'])
  })
})

describeHere(`signedUrl${why}`, () => {
  it('to PUT stores what anyone sends there', async () => {
    const { backend } = await openBackend()
    const url = await backend.signedUrl('blob', { method: 'PUT', expiresMs: 60_000, signal })
    expect((await fetch(url, { method: 'PUT', body: Buffer.from('hello') })).status).toBe(200)
    expect((await read(await backend.get('blob', { signal }))).toString()).toBe('hello')
  })

  it('of more than a week rejects with INVALID_ARGUMENT', async () => {
    const { backend } = await openBackend()
    const asked = backend.signedUrl('blob', { method: 'GET', expiresMs: 8 * 86_400_000, signal })
    await expect(asked).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })
})

describeHere(`deleteMany${why}`, () => {
  it('deletes one by one if the service refuses to delete many at once', async () => {
    const { backend, gate } = await openBackend()
    for (const key of ['a', 'b', 'c']) await put(backend, key, Buffer.from(key))
    gate.judge = ({ path }) => (path.includes('?delete') ? { status: 501, code: 'NotImplemented' } : null)
    expect(await backend.deleteMany(['a', 'b'], { signal })).toEqual(new Map())
    expect(await keysOf(backend)).toEqual(['c'])
  })

  it('says which keys were refused, and why', async () => {
    const { backend } = await openBackend()
    await put(backend, 'a', Buffer.from('a'))
    await thePlace().deny(['s3:DeleteObject'])
    onTestFinished(() => thePlace().deny([]))
    const failures = await backend.deleteMany(['a'], { signal })
    expect(failures.get('a')).toMatchObject({ code: 'PERMISSION_DENIED', at: { key: 'a' } })
  })
})

describeHere(`open${why}`, () => {
  it('with credentials that may only read declares no conditions, and reads', async () => {
    const { backend } = await openBackend({ prefix: 'shared/' })
    await put(backend, 'blob', Buffer.from('hello'))
    const reader = new S3Backend({ ...place(), credentials: thePlace().reader, prefix: 'shared/' })
    onTestFinished(() => reader.close())
    await reader.open({ log: () => {} })
    expect(reader.capabilities).toMatchObject({ ifAbsent: false, ifMatch: false })
    expect((await read(await reader.get('blob', { signal }))).toString()).toBe('hello')
    await expect(put(reader, 'blob', Buffer.from('x'))).rejects.toMatchObject({ code: 'PERMISSION_DENIED' })
  })

  it('of what is no S3 server rejects with MISCONFIGURED', async () => {
    const server = createServer((_, response) => void response.writeHead(404).end('<html>not here</html>'))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    const { port } = server.address() as AddressInfo
    await expect(openBackend({ endpoint: `http://127.0.0.1:${port}` })).rejects.toMatchObject({ code: 'MISCONFIGURED' })
  })

  it('of a bucket in another region rejects with MISCONFIGURED', async () => {
    const { backend, gate } = await openBackend()
    gate.judge = () => ({ status: 301, code: 'PermanentRedirect' })
    await expect(backend.stat('blob', { signal })).rejects.toMatchObject({ code: 'MISCONFIGURED' })
    gate.judge = () => ({ status: 400, code: 'AuthorizationHeaderMalformed' })
    await expect(backend.get('blob', { signal })).rejects.toMatchObject({ code: 'MISCONFIGURED' })
  })
})

describeHere(`a clock${why}`, () => {
  const MINUTE_MS = 60_000

  afterEach(() => void vi.useRealTimers())

  /** Sets only the clock of this process: this many minutes ahead of the service's. */
  function setClock(minutes: number): void {
    vi.useRealTimers()
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + minutes * MINUTE_MS })
  }

  it.each([
    ['is 20 minutes fast', 0, 20],
    ['is 20 minutes slow', 0, -20],
    ['was 20 minutes fast, and is set right', 20, 0],
    ['was 20 minutes slow, and is set right', -20, 0],
    ['was fast, and is slow', 20, -20],
  ])('that %s: the first request of every kind succeeds', async (_, before, after) => {
    setClock(before)
    const { backend, gate } = await openBackend()
    await put(backend, 'blob', Buffer.from('hello'))
    const large = bytesOf(PART_BYTES + 1)
    const operations: Record<string, () => Promise<unknown>> = {
      get: async () => (await read(await backend.get('blob', { signal }))).toString(),
      'get of a range': async () =>
        (await read(await backend.get('blob', { signal, offset: 1, length: 2 }))).toString(),
      'eight reads at once': () =>
        Promise.all(Array.from({ length: 8 }, async () => read(await backend.get('blob', { signal })))),
      stat: () => backend.stat('blob', { signal }),
      'stat of nothing': () => backend.stat('nothing', { signal }),
      list: () => keysOf(backend),
      'put of a small blob': () => put(backend, 'small', Buffer.from('x')),
      'put of a blob in pieces': () => put(backend, 'medium', bytesOf(1 << 20)),
      'put of a blob in parts': () => put(backend, 'large', large),
      copy: () => backend.copy('blob', 'copy', { signal }),
      delete: () => backend.delete('small', { signal }),
      deleteMany: () => backend.deleteMany(['medium'], { signal }),
    }
    for (const [what, operation] of Object.entries(operations)) {
      setClock(before)
      await backend.stat('blob', { signal })
      setClock(after)
      gate.passed.length = 0
      await expect(operation(), what).resolves.not.toThrow()
    }
    expect(await keysOf(backend)).toEqual(['blob', 'copy', 'large'])
    expect(large.equals(await read(await backend.get('large', { signal })))).toBe(true)
  })

  it('that is wrong costs one more request, even if HEAD does not say why it was refused', async () => {
    const { backend, gate } = await openBackend()
    await put(backend, 'blob', Buffer.from('hello'))
    for (const [methods, operation] of [
      [['HEAD', 'HEAD'], () => backend.stat('blob', { signal })],
      [['PUT', 'PUT'], () => put(backend, 'blob', Buffer.from('hello'))],
    ] as const)
      for (const minutes of [20, 0, -20, 0]) {
        setClock(minutes)
        gate.passed.length = 0
        await operation()
        expect(gate.passed.map(({ method }) => method)).toEqual(methods)
        await operation()
        expect(gate.passed).toHaveLength(3)
      }
  })

  it('that is wrong is not in the signed URLs, nor is one that was', async () => {
    const { backend } = await openBackend()
    await put(backend, 'blob', Buffer.from('hello'))
    for (const minutes of [20, 0, -20, 0]) {
      setClock(minutes)
      await backend.stat('blob', { signal })
      const url = await backend.signedUrl('blob', { method: 'GET', expiresMs: 60_000, signal })
      expect((await fetch(url)).status).toBe(200)
    }
  })

  it('that the service keeps refusing is UNAUTHENTICATED, with a hint', async () => {
    const { backend, gate } = await openBackend()
    gate.judge = () => ({ status: 403, code: 'RequestTimeTooSkewed' })
    const error = await backend.get('blob', { signal }).catch((error) => error)
    expect(error).toBeInstanceOf(StorageError)
    expect(error).toMatchObject({ code: 'UNAUTHENTICATED', message: expect.stringContaining('clock') })
  })
})

function place() {
  const { bucket, endpoint, identity } = thePlace()
  return { bucket, endpoint, flavor: 'ceph', credentials: identity } as const
}

/** Like a guard: aborts if nothing was sent for this long. */
function idleAfter(ms: number) {
  const abort = new AbortController()
  let timer: NodeJS.Timeout
  const onSent = (): void => {
    clearTimeout(timer)
    timer = setTimeout(() => abort.abort(new Error('idle')), ms)
  }
  onSent()
  onTestFinished(() => clearTimeout(timer))
  return { signal: abort.signal, onSent }
}

async function startProxy(): Promise<ChaosProxy> {
  const { hostname: host, port } = new URL(thePlace().endpoint)
  const proxy = await ChaosProxy.start({ host, port: Number(port) })
  onTestFinished(() => proxy.close())
  return proxy
}

function urlOf({ endpoint: { host, port } }: ChaosProxy): string {
  return `http://${host}:${port}`
}

describeHere(`an endpoint below a path${why}`, () => {
  /** Like Supabase's, which signs the whole path. */
  const BASE = '/storage/v1/s3'

  async function openBelow() {
    const { gate, ...opened } = await openBackend()
    gate.translate = (request) => throughDoor(request, BASE, thePlace().identity)
    const { bucket, identity } = thePlace()
    const options = { bucket, endpoint: `${gate.endpoint}${BASE}/`, partSize: PART_BYTES } as const
    const backend = new S3Backend({ ...options, prefix: `${crypto.randomUUID()}/`, credentials: identity })
    onTestFinished(() => backend.close())
    await backend.open({ log: () => {} })
    return { ...opened, gate, backend }
  }

  it.each([
    ['a small blob', 'small', 10],
    ['a blob whose key has to be escaped', "a b+c/(d)!*'~/ü", 10],
    ['a blob of one part', 'one', PART_BYTES],
    ['a blob of several parts', 'several', 2 * PART_BYTES + 1],
  ])('takes %s, and gives it back, also a part of it', async (_, key, size) => {
    const { backend } = await openBelow()
    const bytes = bytesOf(size)
    await put(backend, key, bytes)
    expect(await backend.stat(key, { signal })).toMatchObject({ size })
    expect(bytes.equals(await read(await backend.get(key, { signal })))).toBe(true)
    const part = await read(await backend.get(key, { signal, offset: 2, length: 5 }))
    expect(part).toEqual(bytes.subarray(2, 7))
  })

  it('lists, copies, deletes and sweeps', async () => {
    const { backend, gate } = await openBelow()
    expect(backend.capabilities).toMatchObject({ ifAbsent: true, ifMatch: true })
    for (const key of ['a', 'b c', 'd/e']) await put(backend, key, Buffer.from(key))
    await backend.copy('b c', 'f+g', { signal })
    expect(await keysOf(backend)).toEqual(['a', 'b c', 'd/e', 'f+g'])
    expect((await read(await backend.get('f+g', { signal }))).toString()).toBe('b c')
    await backend.delete('a', { signal })
    expect(await backend.deleteMany(['b c', 'd/e'], { signal })).toEqual(new Map())
    expect(await keysOf(backend)).toEqual(['f+g'])
    expect(await backend.stat('a', { signal })).toBeNull()
    expect(await backend.sweep({ signal, olderThanMs: 0 })).toBe(0)
    expect(gate.passed.every(({ path }) => path.startsWith(`${BASE}/${thePlace().bucket}`))).toBe(true)
  })

  it('makes links that serve a blob and take one', async () => {
    const { backend } = await openBelow()
    const link = (method: 'GET' | 'PUT') => backend.signedUrl('a b', { signal, method, expiresMs: 60_000 })
    expect(new URL(await link('GET')).pathname).toMatch(/^\/storage\/v1\/s3\//)
    expect((await fetch(await link('PUT'), { method: 'PUT', body: Buffer.from('by a link') })).status).toBe(200)
    expect(await (await fetch(await link('GET'))).text()).toBe('by a link')
  })

  it('that is signed for another path refuses, as UNAUTHENTICATED', async () => {
    const { backend, gate } = await openBelow()
    gate.translate = (request) => throughDoor({ ...request, path: `${BASE}${request.path}` }, BASE, thePlace().identity)
    await expect(put(backend, 'a', Buffer.from('a'))).rejects.toMatchObject({ code: 'UNAUTHENTICATED' })
  })

  it('is shown with its path', async () => {
    const { backend, gate } = await openBelow()
    const { bucket } = thePlace()
    expect(backend.address.host).toBe(`s3:${new URL(gate.endpoint).host}${BASE}/${bucket}`)
  })
})
