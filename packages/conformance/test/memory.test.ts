import {
  type GetOptions,
  type GetResult,
  MemoryBackend,
  MemoryPlace,
  type Stat,
  StorageError,
} from '@stored/core/backend'
import { describe, expect, it } from 'vitest'
import { nextTurn } from '../src/expect.ts'
import { type Report, runConformance } from '../src/index.ts'
import { harness } from './harness.ts'
import { LimitedBackend } from './limited-backend.ts'

const SOAK = skipsOf('profile soak', ['sz.5g', 'rg.4g', 'ls.lazy'])
/** What only a server has. */
const NO_SERVER = {
  ...skipsOf('the harness has no endpoint', [
    ...['au.echo', 'bp.put', 'ck.wire', 'cw.lost-reply'],
    ...[
      'ft.page',
      'ft.refused',
      'ft.cut-put',
      'ft.cut-reply',
      'ft.cut-get',
      'ft.cut-get-changed',
      'ft.cut-list',
      'ft.stall-put',
    ],
    ...['ft.stall-get', 'ft.slow-alive', 'ft.replay', 'ft.one-shot'],
    ...['rs.cut', 'rs.resent'],
    'op.reconnect-new',
  ]),
  'ft.throttled': 'the harness has no busy',
  'ft.restart': 'the harness has no restartServer',
  'ft.no-space': 'the harness has no quota',
  'au.bad': 'the harness has no creds bad',
  'au.rotate': 'the harness has no rotate',
  'au.no-secret': 'the harness has no secrets',
  'au.no-container': 'the harness has no noContainer',
}
const IN_MEMORY = skipsOf('inProcess: the blobs lie in the memory of this process', ['bp.get', 'bp.put-1g', 'bp.loop'])
const NO_FILES = {
  'src.file': 'capability usesFile is not declared',
  'tr.sibling-root': 'the harness has no outsider.symlink',
  'tr.symlink-read': 'the harness has no outsider.symlink',
  'tr.symlink-write': 'the harness has no outsider.symlink',
  'tr.symlink-list': 'the harness has no outsider.symlink',
  'tr.special': 'the harness has no outsider.special',
  'tr.in-the-way': 'the harness has no outsider.symlink',
  'key.refused': 'neither a declared limit nor the harness names one',
  'tr.swap': 'the harness has no outsider.symlink',
  'ls.foreign-name': 'the harness has no outsider.undecodable',
  'at.crash-new': 'the harness has no child',
  'op.sweep-other': 'the harness has no child',
  'op.reconnect': 'the driver has no reconnect',
  'at.crash-over': 'the harness has no child',
  'lc.exits': 'the harness has no child',
  'rs.kill': 'the harness has no child',
}

describe('MemoryBackend', () => {
  it('passes every case of profile full except those for files, processes and servers', async () => {
    const report = await runConformance(harness(), { profile: 'full' })
    expect(failures(report)).toEqual([])
    expect(skips(report)).toEqual({
      ...SOAK,
      ...NO_FILES,
      ...NO_SERVER,
      ...IN_MEMORY,
      'wa.undeclared': 'capability watch is declared',
      'sz.over-limit': 'limits.maxSize is not declared',
      'rg.emulated': 'capability range is declared',
      'cw.undeclared': 'capabilities ifAbsent and ifMatch are both declared',
      'rs.undeclared': 'capability resume is declared',
      'md.undeclared': 'contentType and metadata are declared',
      'cp.readonly': 'capability readOnly is not declared',
    })
    expect(report.refused).toEqual([])
  })
})

describe('a backend of five methods with every limit', () => {
  it('passes every case except those for what it lacks, and is shown to refuse that', async () => {
    const place = new MemoryPlace()
    const report = await runConformance({ name: 'limited', open: async () => new LimitedBackend(place) })
    expect(failures(report)).toEqual([])
    expect(report.refused).toEqual([
      'contentType',
      'ifAbsent',
      'ifMatch',
      'metadata',
      'range',
      'resume',
      'signedUrl',
      'sweep',
      'watch',
    ])
    const reasons = report.skipped.filter(({ reason }) => !/^(profile|the harness has no) /.test(reason))
    expect([...new Set(reasons.map(({ id }) => id))].sort()).toEqual([
      ...['at.sweep', 'ck.native', 'cp.readonly', 'cp.signed-url'],
      ...['cw.after-delete', 'cw.counter', 'cw.exists', 'cw.get-match', 'cw.lost-reply', 'cw.match'],
      ...['cw.match-missing', 'cw.new', 'cw.race', 'cw.stale'],
      ...['ls.after', 'ls.after-prefix', 'ls.order', 'ls.resumed'],
      ...['md.case', 'md.overwrite-clears', 'md.too-big', 'md.type', 'md.user'],
      ...['op.copy-type', 'op.reconnect', 'op.sweep-blobs', 'op.sweep-other', 'op.sweep-running', 'op.sweep-young'],
      ...['rg.first', 'rg.last', 'rg.middle', 'rg.to-end'],
      ...['rs.cut', 'rs.goes-on', 'rs.kill', 'rs.other-bytes', 'rs.resent', 'rs.stale', 'rs.taken', 'rs.unkept'],
      ...['rs.wrong-bytes'],
      ...['rt.etag', 'rt.modified', 'rt.unknown-size'],
      ...['sd.ifmatch-ok', 'sd.ifmatch-stale', 'src.file', 'sz.zero-stream'],
      ...[
        'wa.abort',
        'wa.burst',
        'wa.delete',
        'wa.no-temp',
        'wa.outsider',
        'wa.over',
        'wa.prefix',
        'wa.put',
        'wa.ready',
      ],
    ])
  })
})

describe('a backend whose readers throw CONFLICT when they are overtaken', () => {
  it('passes every case of readers and writers, as the contract allows', async () => {
    const place = new MemoryPlace()
    class Overtaken extends MemoryBackend {
      override async get(key: string, options: GetOptions): Promise<GetResult> {
        const { stat, body } = await super.get(key, options)
        return { stat, body: this.#unlessOvertaken(stat, body) }
      }
      async *#unlessOvertaken({ key, etag }: Stat, body: AsyncIterable<Uint8Array>) {
        for await (const chunk of body) {
          yield chunk
          await nextTurn()
          if (place.blobs.get(key)?.stat.etag !== etag) throw this.error('CONFLICT', 'get', key)
        }
      }
    }
    const open = async () => new Overtaken({ place })
    const only = ['at', 'sd.delete-while-reading', 'cw']
    expect(failures(await runConformance({ name: 'overtaken', open }, { only }))).toEqual([])
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

function skipsOf(reason: string, ids: readonly string[]): Record<string, string> {
  return Object.fromEntries(ids.map((id) => [id, reason]))
}

function failures(report: Report): string[] {
  return report.failed.map(({ error }) => error.message)
}

function skips(report: Report): Record<string, string> {
  return Object.fromEntries(report.skipped.map(({ id, reason }) => [id, reason]))
}
