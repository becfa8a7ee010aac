import { MemoryBackend, MemoryPlace, StorageError } from '@stored/core/backend'
import { describe, expect, it } from 'vitest'
import { type Harness, type Report, runConformance } from '../src/index.ts'
import { LimitedBackend } from './limited-backend.ts'

const SOAK = { 'sz.5g': 'profile soak', 'rg.4g': 'profile soak', 'ls.lazy': 'profile soak' }
const LARGER = { ...SOAK, 'sz.edges': '', 'sz.64m': '', 'rg.straddle': '', 'rg.assemble': '', 'ls.pages': '' }
const NO_FILES = {
  'tr.sibling-root': 'the harness has no outsider.symlink',
  'tr.symlink-read': 'the harness has no outsider.symlink',
  'tr.symlink-write': 'the harness has no outsider.symlink',
  'tr.symlink-list': 'the harness has no outsider.symlink',
  'tr.special': 'the harness has no outsider.special',
  'tr.swap': 'the harness has no outsider.symlink',
  'ls.foreign-name': 'the harness has no outsider.undecodable',
  'at.crash-new': 'the harness has no child',
  'at.crash-over': 'the harness has no child',
  'lc.exits': 'the harness has no child',
}

describe('MemoryBackend', () => {
  it('passes every case of profile full but those for files and processes', async () => {
    const report = await runConformance(memoryHarness(), { profile: 'full' })
    expect(failures(report)).toEqual([])
    expect(skips(report)).toEqual({
      ...SOAK,
      ...NO_FILES,
      'sz.over-limit': 'limits.maxSize is not declared',
      'rg.emulated': 'capability range is declared',
      'cw.undeclared': 'capabilities ifAbsent and ifMatch are both declared',
      'md.undeclared': 'contentType and metadata are declared',
      'cp.readonly': 'capability readOnly is not declared',
    })
    expect(report.refused).toEqual([])
  })
})

describe('a backend of five methods with every limit', () => {
  it('passes every case but those for what it has not, and is shown to refuse it', async () => {
    const place = new MemoryPlace()
    const report = await runConformance({ name: 'limited', open: async () => new LimitedBackend(place) })
    expect(failures(report)).toEqual([])
    expect(report.refused).toEqual([
      'contentType',
      'ifAbsent',
      'ifMatch',
      'metadata',
      'range',
      'signedUrl',
      'sweep',
      'watch',
    ])
    expect(
      Object.keys(skips(report))
        .filter((id) => !(id in LARGER) && !(id in NO_FILES))
        .sort(),
    ).toEqual([
      'at.sweep',
      ...['ck.cut', 'ck.flip', 'ck.native'],
      'cp.readonly',
      'cp.signed-url',
      ...['cw.after-delete', 'cw.counter', 'cw.exists', 'cw.get-match', 'cw.match', 'cw.match-missing', 'cw.new'],
      ...['cw.race', 'cw.stale'],
      'lc.open-fail',
      'ls.after',
      'ls.order',
      'md.type',
      'md.user',
      'rg.first',
      'rg.last',
      'rg.middle',
      'rg.to-end',
      'rt.etag',
      'rt.modified',
      'rt.unknown-size',
      'sd.has-denied',
      'sd.ifmatch-ok',
      'sd.ifmatch-stale',
      'sd.stat-denied',
      'src.debris',
      'src.file',
      'sz.zero-stream',
      ...['wa.delete', 'wa.over', 'wa.put'],
    ])
  })
})

describe('a read-only backend', () => {
  it('is proved by cp alone', async () => {
    class ReadOnly extends MemoryBackend {
      override readonly capabilities = { contract: 1, readOnly: true } as never
      override async put(key: string): Promise<never> {
        throw new StorageError('UNSUPPORTED', { op: 'put', key })
      }
    }
    const report = await runConformance({ name: 'read-only', open: async () => new ReadOnly() })
    expect(report.proved.map(({ id }) => id)).toEqual(expect.arrayContaining(['cp.readonly', 'cp.proved']))
    expect(skips(report)['rt.bytes']).toBe('readOnly: nothing can be put')
  })
})

/** With every hook that memory can have. */
function memoryHarness(): Harness {
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
    broken: async () => new Unreachable({ place }),
    debris: async () => [],
    async deny() {
      denied = true
      return async () => {
        denied = false
      }
    },
    outsider: {
      write: async (key, bytes) => void place.blobs.set(key, { bytes, stat: { key, size: bytes.length } }),
      async corrupt(key, change) {
        const blob = place.blobs.get(key)
        if (blob) place.blobs.set(key, { ...blob, bytes: change(blob.bytes) })
      },
    },
  }
}

function failures(report: Report): string[] {
  return report.failed.map(({ error }) => error.message)
}

function skips(report: Report): Record<string, string> {
  return Object.fromEntries(report.skipped.map(({ id, reason }) => [id, reason]))
}
