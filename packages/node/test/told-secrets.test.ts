import { randomBytes } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { inspect } from 'node:util'
import { ChaosProxy, type Echo } from '@stored/conformance'
import { S3Backend } from '@stored/driver-s3'
import { openStore } from '@stored/node'
import { startFauxqs } from '@stored/services'
import { afterAll, expect, test } from 'vitest'
import { collect, temp } from './temp.ts'

const fauxqs = await startFauxqs()
const bucket = new URL('/stored', fauxqs.endpoint)
// It checks no signatures.
await fetch(bucket, { method: 'PUT' })
afterAll(() => fauxqs[Symbol.asyncDispose]())

/** A service that says to whom it does not listen. */
const ECHO: Echo = (asked) => ({
  status: 400,
  html: `<Error><Code>EntityTooLarge</Code><Message>not with ${asked.replaceAll('&', '&amp;')}</Message></Error>`,
  headers: { 'content-type': 'application/xml' },
})

test('a token that a service says again is in no job, status, event or log, and in no file of the store', async () => {
  await using dir = await temp()
  const { hostname: host, port } = bucket
  await using proxy = await ChaosProxy.start({ host, port: Number(port) })
  const sessionToken = `FwoGZXIvYXdz/${randomBytes(60).toString('base64')}`
  const credentials = { accessKeyId: 'stored', secretAccessKey: randomBytes(20).toString('hex'), sessionToken }
  const endpoint = `http://127.0.0.1:${proxy.endpoint.port}`
  const cloud = new S3Backend({ bucket: 'stored', endpoint, credentials, prefix: 'told/' })
  const place = path.join(dir.path, 'store')
  const told: unknown[] = []
  {
    await using store = await openStore({ path: place, backends: { cloud } })
    await store.put(Buffer.from('hello'), { key: 'before' })
    await store.synced()
    store.on('sync:error', (event) => told.push(event))
    proxy.show(ECHO)
    await store.put(Buffer.from('hello again'), { key: 'blob' })
    told.push(await store.synced('blob').catch((error: unknown) => error))
    told.push(
      await collect(store.jobs()),
      await store.status(),
      await store.stat('blob'),
      await collect(store.events()),
    )
  }
  const shown = inspect(told, { depth: 12, maxStringLength: null })
  expect(shown).toContain('not with GET /stored/told/blob')
  expect(shown).not.toContain(sessionToken)
  const entries = await readdir(place, { recursive: true, withFileTypes: true })
  for (const entry of entries.filter((each) => each.isFile())) {
    const bytes = await readFile(path.join(entry.parentPath, entry.name))
    expect(bytes.includes(sessionToken)).toBe(false)
  }
})
