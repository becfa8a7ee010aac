import { randomBytes } from 'node:crypto'
import path from 'node:path'
import { ChaosProxy, type Page } from '@stored/conformance'
import { S3Backend } from '@stored/driver-s3'
import { openStore } from '@stored/node'
import { startFauxqs } from '@stored/services'
import { afterAll, describe, expect, test } from 'vitest'
import { collect, temp } from './temp.ts'

const SIGN_IN = '<html><head><title>Welcome</title></head><body><p>Please sign in.</p></body></html>'
const PAGES: Readonly<Record<string, Page>> = {
  'a login page': { status: 200, html: SIGN_IN },
  'a login page that is a file': { status: 200, html: SIGN_IN, headers: { etag: '"65f0c2"' } },
  'a redirection': { status: 302, html: SIGN_IN, headers: { location: 'http://127.0.0.1:1/' } },
  'a filter': { status: 403, html: SIGN_IN },
  'a server that has nothing': { status: 404, html: SIGN_IN },
  'a proxy without a server': { status: 502, html: SIGN_IN },
}

const fauxqs = await startFauxqs()
const bucket = new URL('/stored', fauxqs.endpoint)
// It checks no signatures.
await fetch(bucket, { method: 'PUT' })
afterAll(() => fauxqs[Symbol.asyncDispose]())

/** A store whose only backend is a bucket behind a proxy. */
async function place(prefix: string) {
  const dir = await temp()
  const { hostname: host, port } = bucket
  const proxy = await ChaosProxy.start({ host, port: Number(port) })
  const cloud = new S3Backend({
    bucket: 'stored',
    endpoint: `http://127.0.0.1:${proxy.endpoint.port}`,
    credentials: { accessKeyId: 'stored', secretAccessKey: randomBytes(20).toString('hex') },
    prefix,
  })
  return {
    proxy,
    open: () => openStore({ path: path.join(dir.path, 'store'), backends: { cloud } }),
    async [Symbol.asyncDispose]() {
      await proxy.close()
      await dir[Symbol.asyncDispose]()
    },
  }
}

describe.each(Object.entries(PAGES))('%s in place of S3', (name, page) => {
  test('is waited for: no job is parked, no copy marked, nothing lost; once it is gone, everything is synced', async () => {
    const prefix = `${encodeURIComponent(name)}/`
    await using at = await place(prefix)
    const { proxy } = at
    await using store = await at.open()
    await store.put(Buffer.from('kept'), { key: 'kept' })
    await store.put(Buffer.from('removed'), { key: 'removed' })
    await store.synced()

    proxy.show(page)
    const owed = ['a', 'b', 'c', 'd', 'e', 'f']
    const failed = new Set<string>()
    const { promise: allFailed, resolve } = Promise.withResolvers<void>()
    store.on('sync:retry', ({ key, error }) => {
      expect(['UNAVAILABLE', 'MISCONFIGURED']).toContain(error.code)
      if (failed.add(key).size === owed.length + 1) resolve()
      // Also those that would have to wait for the backend to come back.
      else store.resume('cloud').catch(() => {})
    })
    const large = randomBytes(1 << 20)
    for (const key of owed) await store.put(key === 'f' ? large : Buffer.from(key), { key })
    await store.delete('removed')
    await allFailed

    expect(await collect(store.jobs({ state: 'parked' }))).toEqual([])
    await expect(store.get('kept')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    await expect(store.get('kept', { range: { offset: 1, length: 2 } })).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(await collect(store.verify({ prefix: 'kept' }))).toMatchObject([{ checked: false, state: 'synced' }])
    expect(await store.stat('kept')).toMatchObject({ locations: [{ state: 'synced' }] })
    expect((await store.status()).backends).toMatchObject([{ state: 'failing', jobs: { parked: 0 } }])

    proxy.heal()
    await store.resume('cloud')
    await store.synced()
    for (const key of ['kept', ...owed.slice(0, -1)]) expect((await store.get(key)).toString()).toBe(key)
    expect(large.equals(await store.get('f'))).toBe(true)
    const listing = await (await fetch(`${bucket}?list-type=2&prefix=${encodeURIComponent(prefix)}`)).text()
    expect(listing).not.toContain('removed')
  })

  test('as the store is opened, is waited for too', async () => {
    await using at = await place(`${encodeURIComponent(name)}/opened/`)
    at.proxy.show(page)
    await using store = await at.open()
    const failed = new Promise((resolve) => store.on('sync:retry', resolve))
    await store.put(Buffer.from('hello'), { key: 'hello' })
    await failed
    const told = page.status < 500 ? 'unusable' : 'ok'
    expect((await store.status()).backends).toMatchObject([{ state: told, jobs: { waiting: 1, parked: 0 } }])
    at.proxy.heal()
    await store.resume('cloud')
    await store.synced()
    expect((await store.get('hello')).toString()).toBe('hello')
  })
})
