import { fileURLToPath } from 'node:url'
import type { Harness } from '@stored/conformance'
import { offerService } from '@stored/services'
import manifest from '../package.json' with { type: 'json' }
import { S3Backend, type S3BackendOptions } from '../src/index.ts'
import { Gate } from './gate.ts'
import { Place } from './place.ts'

const DENIED = {
  read: ['s3:GetObject'],
  write: ['s3:PutObject', 's3:DeleteObject'],
  list: ['s3:ListBucket'],
}

/**
 * How the kit reaches its own Ceph cluster.
 *
 * @param settings Which Ceph.
 * @returns Why there is none, if it is not available.
 */
export async function cephHarness(settings: Readonly<Record<string, string>>): Promise<Harness | string> {
  const service = await offerService('ceph-rgw', settings)
  if (typeof service === 'string') return service
  const place = await Place.open(service)
  const gate = await Gate.start(place.endpoint)
  const { hostname: host, port } = new URL(place.endpoint)
  const make = (options: Partial<S3BackendOptions> = {}) =>
    new S3Backend({ endpoint: gate.endpoint, bucket: place.bucket, flavor: 'ceph', partSize: 5 << 20, ...options })
  const credentials = () => place.identity
  /** For the process that `child` runs in. */
  const forChild = (): void => {
    const { endpoint, bucket, identity } = place
    process.env.STORED_TEST_S3 = JSON.stringify({
      endpoint,
      bucket,
      flavor: 'ceph',
      partSize: 5 << 20,
      credentials: identity,
    })
  }
  forChild()
  return {
    name: 's3',
    version: manifest.version,
    server: { name: 'Ceph RADOS Gateway', version: await place.version() },
    endpoint: { host, port: Number(port) },
    creds: ['bad', 'readonly'],
    async open({ via, creds = 'good' } = {}) {
      const secrets = {
        good: credentials,
        bad: { ...place.identity, secretAccessKey: 'x'.repeat(40) },
        readonly: place.reader,
      }
      return make({
        ...(via && { endpoint: `http://${via.host}:${via.port}` }),
        credentials: secrets[creds],
      })
    },
    debris: () => place.uploads(),
    outsider: {
      write: (key, bytes) => place.write(key, bytes),
      corrupt: async (key, change) => place.write(key, change(await place.read(key))),
    },
    async deny(op) {
      await place.deny(DENIED[op])
      return () => place.deny([])
    },
    broken: async () => make({ endpoint: 'http://127.0.0.1:1', credentials }),
    noContainer: async () => make({ bucket: 'not-there', credentials }),
    async rotate() {
      await place.rotate()
      forChild()
    },
    secrets: () => [place.identity.secretAccessKey],
    async restartServer() {
      await service.stop('SIGKILL')
      await service.start()
    },
    quota: (bytes) => place.limit(bytes),
    async fail() {
      const mend = gate.break()
      return async () => mend()
    },
    busy: async (requests, retryAfterMs) => gate.refuse(requests, retryAfterMs),
    async close() {
      place.plain.destroy()
      await gate[Symbol.asyncDispose]()
      await service[Symbol.asyncDispose]()
    },
    child: fileURLToPath(new URL('./child.ts', import.meta.url)),
  }
}
