import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { StorageError } from '@stored/core/backend'
import { expect, test } from 'vitest'
import { idOf, openAt, temp } from './temp.ts'

const FILES = 1000
/** Each body lies under several names, of several types. */
const BODIES = 120
const AT_ONCE = 16
const TYPES = {
  css: 'text/css',
  html: 'text/html',
  js: 'text/javascript',
  json: 'application/json',
  svg: 'image/svg+xml',
  txt: 'text/plain',
  xml: 'application/xml',
} as const

interface Page {
  readonly key: string
  readonly body: Buffer
  readonly type: string
}

type Store = Awaited<ReturnType<typeof openAt>>

function pages(): Page[] {
  const types = Object.entries(TYPES)
  return Array.from({ length: FILES }, (_, i) => {
    const [extension, type] = types[i % types.length] as (typeof types)[number]
    const body = Buffer.from(`body ${i % BODIES} `.repeat(1 + (i % BODIES) * 20))
    return { key: `site/${i % 40}/page-${i}.${extension}`, body, type }
  })
}

/** Serves what `open()` gives, and nothing that it knows better. */
async function serve(store: Store): Promise<Server> {
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const key = decodeURIComponent((request.url ?? '').slice(1))
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? []
    const range = first && last ? { offset: Number(first), length: Number(last) - Number(first) + 1 } : undefined
    const opened = await store.open(key, range && { range })
    response.writeHead(range ? 206 : 200, {
      'content-type': opened.record.mimeType,
      'content-length': opened.range.length,
      etag: `"${opened.record.id}"`,
    })
    await pipeline(opened.body, response)
  }
  const server = createServer((request, response) => {
    answer(request, response).catch((error) => {
      response.statusCode = StorageError.is(error) && error.code === 'NOT_FOUND' ? 404 : 500
      response.end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server
}

async function each<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values()
  const worker = async () => {
    for (const item of rest) await work(item)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
}

test.each(['key', 'id'] as const)(
  'a site of 1,000 files, many of equal bytes, is served right from open() in layout %s',
  async (layout) => {
    await using dir = await temp()
    await using store = await openAt(dir.path, {
      backends: { a: { driver: 'fs', root: `${dir.path}/a`, layout } },
      defaultBackends: ['a'],
    })
    const site = pages()
    await each(site, async ({ key, body }) => void (await store.put(body, { key })))
    await store.synced()
    const server = await serve(store)
    try {
      const { port } = server.address() as AddressInfo
      const at = (key: string) => `http://127.0.0.1:${port}/${key}`
      await each(site, async ({ key, body, type }) => {
        const answer = await fetch(at(key))
        const got = Buffer.from(await answer.arrayBuffer())
        expect([key, answer.status, answer.headers.get('content-type'), answer.headers.get('etag')]).toEqual([
          key,
          200,
          type,
          `"${idOf(body)}"`,
        ])
        expect(got.equals(body)).toBe(true)
      })
      const page = site.at(-1) as Page
      const part = await fetch(at(page.key), { headers: { range: 'bytes=3-9' } })
      expect([part.status, part.headers.get('content-type'), await part.text()]).toEqual([
        206,
        page.type,
        page.body.subarray(3, 10).toString(),
      ])
      expect((await fetch(at('site/none.css'))).status).toBe(404)
    } finally {
      server.closeAllConnections()
      server.close()
    }
  },
)
