import { MemoryBackend, MemoryPlace } from '@stored/core/backend'
import type { Harness } from '../src/index.ts'

/** With every hook that memory can support. */
export function harness(): Harness {
  const place = new MemoryPlace()
  let denied = false
  let broken = false
  class Breakable extends MemoryBackend {
    protected override begin(...args: Parameters<MemoryBackend['begin']>): void {
      super.begin(...args)
      if (broken) throw this.error('UNAVAILABLE', args[0], args[1])
      if (denied) throw this.error('PERMISSION_DENIED', args[0], args[1])
    }
  }
  class Unreachable extends MemoryBackend {
    override async open(): Promise<void> {
      throw this.error('MISCONFIGURED', 'open', undefined)
    }
  }
  return {
    name: 'memory',
    open: async () => new Breakable({ place }),
    broken: async () => new Unreachable(),
    debris: async () => [],
    async deny() {
      denied = true
      return async () => {
        denied = false
      }
    },
    async fail() {
      broken = true
      return async () => {
        broken = false
      }
    },
    inProcess: true,
    outsider: {
      async write(key, bytes) {
        place.blobs.set(key, { bytes, stat: { key, size: bytes.length } })
        place.notify({ type: 'put', key })
      },
      async corrupt(key, change) {
        const blob = place.blobs.get(key)
        if (blob) place.blobs.set(key, { ...blob, bytes: change(blob.bytes) })
      },
    },
  }
}
