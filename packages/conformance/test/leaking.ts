// A node:test file for a driver whose close leaves a socket open. Run by a test.
import { createServer } from 'node:net'
import { MemoryBackend, MemoryPlace } from '@stored/core/backend'
import { conformance } from '../src/index.ts'

const place = new MemoryPlace()

class Leaking extends MemoryBackend {
  override async open(): Promise<void> {
    createServer().listen(0)
  }
}

conformance({ name: 'leaking', open: async () => new Leaking({ place }) }, undefined, { only: ['lc'] })
