import { fileURLToPath } from 'node:url'
import type { Harness } from '../src/index.ts'
import { HttpBackend, type HttpBackendOptions } from './http-backend.ts'
import { type HttpServer, PAGE } from './http-server.ts'

type Open = (options: HttpBackendOptions) => HttpBackend

/** With every hook that an HTTP server can support. @param open The driver, or one with a fault. */
export function httpHarness(server: HttpServer, open: Open = (options) => new HttpBackend(options)): Harness {
  const tokens = { good: () => server.token, bad: 'not-a-token', readonly: () => server.readonlyToken }
  // For the process that `child` runs in.
  process.env.STORED_TEST_HTTP = JSON.stringify({ endpoint: server.endpoint, token: server.token })
  return {
    name: 'http',
    open: async ({ via = server.endpoint, creds = 'good' } = {}) => open({ endpoint: via, token: tokens[creds] }),
    endpoint: server.endpoint,
    creds: ['bad', 'readonly'],
    secrets: () => [server.token, server.readonlyToken],
    inProcess: true,
    pageSize: PAGE,
    child: fileURLToPath(new URL('./http-child.ts', import.meta.url)),
    debris: async () => [],
    broken: async () => open({ endpoint: { host: '127.0.0.1', port: 1 }, token: tokens.good }),
    noContainer: async () => open({ endpoint: server.endpoint, token: tokens.good, bucket: 'none' }),
    async rotate() {
      server.rotate()
      process.env.STORED_TEST_HTTP = JSON.stringify({ endpoint: server.endpoint, token: server.token })
    },
    restartServer: () => server.restart(),
    async busy(times, retryAfterMs) {
      server.busy = { times, status: 503, retryAfter: retryAfterMs / 1000 }
    },
    async fail() {
      server.busy = { times: Number.POSITIVE_INFINITY, status: 500, retryAfter: 0 }
      return async () => {
        server.busy = { times: 0, status: 500, retryAfter: 0 }
      }
    },
    async quota(bytes) {
      server.limit(bytes)
      return async () => server.limit(Number.POSITIVE_INFINITY)
    },
    async deny(op) {
      server.denied.add(op)
      return async () => void server.denied.delete(op)
    },
    outsider: {
      write: async (key, bytes) => void server.store(key, Buffer.from(bytes)),
      async corrupt(key, change) {
        const blob = server.blobs.get(key)
        if (blob) server.blobs.set(key, { ...blob, bytes: Buffer.from(change(blob.bytes)) })
      },
    },
  }
}
