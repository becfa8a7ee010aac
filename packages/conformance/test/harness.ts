import { MemoryBackend, MemoryPlace } from '@stored/core/backend'
import type { Harness } from '../src/index.ts'

/** With every hook that memory can have. */
export function harness(): Harness {
  const place = new MemoryPlace()
  let denied = false
  class Deniable extends MemoryBackend {
    protected override begin(...args: Parameters<MemoryBackend['begin']>): void {
      super.begin(...args)
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
    open: async () => new Deniable({ place }),
    broken: async () => new Unreachable(),
    debris: async () => [],
    async deny() {
      denied = true
      return async () => {
        denied = false
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
