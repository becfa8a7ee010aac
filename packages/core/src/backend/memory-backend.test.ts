import { expect, test } from 'vitest'
import type { PutOptions } from './contract.ts'
import { MemoryBackend, MemoryPlace } from './memory-backend.ts'

// The conformance kit proves what holds for every backend. These are the faults that only a backend in memory can have.

const { signal } = new AbortController()

async function* body(...chunks: string[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield Buffer.from(chunk)
}

function put(backend: MemoryBackend, key: string, text: string, options: Partial<PutOptions> = {}) {
  return backend.put(key, body(text), { signal, ...options })
}

async function read(backend: MemoryBackend, key: string): Promise<string> {
  const { body } = await backend.get(key, { signal })
  return Buffer.concat(await Array.fromAsync(body)).toString()
}

test('sweep() forgets the received chunks of abandoned puts once they are old enough', async () => {
  const backend = new MemoryBackend()
  async function* torn(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('by')
    throw new Error('torn')
  }
  const onCheckpoint = async () => {}
  const failing = backend.put('k', torn(), { signal, size: 5, sha256: 'of the whole', onCheckpoint })
  await expect(failing).rejects.toThrow('torn')
  expect(await backend.sweep({ olderThanMs: 60_000, signal })).toBe(0)
  expect(await backend.sweep({ olderThanMs: 0, signal })).toBe(1)
  expect(await backend.sweep({ olderThanMs: 0, signal })).toBe(0)
})

test('two backends on one place see the same blobs; closing one leaves the other usable', async () => {
  const place = new MemoryPlace()
  const [a, b] = [new MemoryBackend({ place }), new MemoryBackend({ place })]
  await put(a, 'k', 'bytes')
  await a.close()
  expect(await read(b, 'k')).toBe('bytes')
  await expect(a.stat('k', { signal })).rejects.toMatchObject({ code: 'CLOSED' })
})

test('changing the bytes after put() or get() does not change the blob', async () => {
  const backend = new MemoryBackend()
  const bytes = Buffer.from('mine')
  async function* own(): AsyncGenerator<Uint8Array> {
    yield bytes
    bytes.fill(0)
  }
  await backend.put('k', own(), { signal })
  const { body: got } = await backend.get('k', { signal })
  for await (const chunk of got) chunk.fill(0)
  expect(await read(backend, 'k')).toBe('mine')
})

test('put({ file }) stores the body, since it does not declare usesFile', async () => {
  const backend = new MemoryBackend()
  await put(backend, 'k', 'from the body', { file: '/nowhere' })
  expect(await read(backend, 'k')).toBe('from the body')
})

test('signedUrl() for GET can be fetched; PUT has none', async () => {
  const backend = new MemoryBackend()
  await put(backend, 'k', 'bytes', { contentType: 'text/plain' })
  const response = await fetch(await backend.signedUrl('k', { signal, method: 'GET', expiresMs: 1 }))
  expect([response.headers.get('content-type'), await response.text()]).toEqual(['text/plain', 'bytes'])
  await expect(backend.signedUrl('k', { signal, method: 'PUT', expiresMs: 1 })).rejects.toMatchObject({
    code: 'UNSUPPORTED',
  })
})

test('a watch() that falls behind receives an overflow', async () => {
  const backend = new MemoryBackend()
  const events = backend.watch({ signal })
  const first = events.next()
  for (let i = 0; i < 1500; i += 1) await put(backend, `k${i}`, '')
  expect((await first).value).toEqual({ type: 'put', key: 'k0' })
  expect((await events.next()).value).toEqual({ type: 'overflow' })
  await events.return()
})

test('copy() keeps type and metadata and makes an independent blob', async () => {
  const backend = new MemoryBackend()
  const from = await put(backend, 'a', 'bytes', { contentType: 'text/plain', metadata: { x: '1' } })
  const to = await backend.copy('a', 'b', { signal })
  expect(to).toMatchObject({ key: 'b', contentType: 'text/plain', metadata: { x: '1' } })
  expect(to.etag).not.toBe(from.etag)
  await backend.delete('a', { signal })
  expect(await read(backend, 'b')).toBe('bytes')
})
