import { MemoryBackend, MemoryPlace } from '@stored/core/backend'
import { printable } from '@stored/core/printable'
import { describe, expect, it } from 'vitest'
import { capabilityTable, withCapabilities } from './capability-table.ts'
import type { Profile } from './case.ts'
import type { Harness } from './harness.ts'
import { formatReport, makeReport, type Result } from './report.ts'
import { type ReportJson, reportJson } from './report-json.ts'
import { type RunOptions, runConformance } from './runner.ts'

/** A memory backend without conditions that sorts wrongly. */
class Modest extends MemoryBackend {
  override readonly capabilities = { ...new MemoryBackend().capabilities, ifMatch: false } as never
  override async *list(options: Parameters<MemoryBackend['list']>[0]) {
    yield* (await Array.fromAsync(super.list(options))).reverse()
  }
}

const PROFILES = ['quick', 'full', 'soak'] as const
const FACTS = { name: 'a', profile: 'quick', complete: true, seed: 1, capabilities: null } as const

function resultOf(profile: Profile, isBroken: boolean): Result {
  const about = {
    id: `x.${profile}`,
    view: 'guarded',
    level: 'must',
    profile,
    title: '',
    provokes: [],
    durationMs: 1,
  } as const
  return isBroken
    ? { ...about, status: 'failed', error: new Error(), broken: 'it does not hold' }
    : { ...about, status: 'proved', refused: [] }
}

async function reportOf(harness: Partial<Harness> = {}, options: RunOptions = {}): Promise<ReportJson> {
  const place = new MemoryPlace()
  const open = async () => new Modest({ place })
  return reportJson(
    await runConformance({ name: 'modest', inProcess: true, open, ...harness }, { seed: 1, ...options }),
  )
}

describe('a report of a server whose messages a terminal would obey', () => {
  class Rude extends MemoryBackend {
    override async stat(): Promise<never> {
      throw new Error('no \u001b]0;owned\u0007 \u202e')
    }
  }

  it('shows it escaped, for people and for files', async () => {
    const open = async () => new Rude()
    const server = { name: 'rude\u009b2J', version: '1\u001b[2J' }
    const report = await runConformance({ name: 'rude', inProcess: true, open, server }, { only: ['rt.etag'] })
    expect(report.failed.length).toBeGreaterThan(0)
    const shown = `${formatReport(report)}${JSON.stringify(reportJson(report))}`
    expect(shown).toContain('\\u001b]0;owned')
    expect(shown.replaceAll('\n', '')).toBe(printable(shown.replaceAll('\n', '')))
    for (const { error } of report.failed)
      expect(error.message.split('\n')).toEqual(error.message.split('\n').map(printable))
  })
})

describe('reportJson', () => {
  it('gives the result of each case, with the reason', async () => {
    const { cases, counts } = await reportOf({}, { only: ['rt.bytes', 'cw.undeclared', 'cw.match', 'ls.order'] })
    expect(cases).toEqual({
      'rt.bytes': { status: 'proved' },
      'ls.order': { status: 'failed', reason: expect.stringContaining('the list') },
      'cw.match': { status: 'skipped', reason: 'capability ifMatch is not declared' },
      'cw.undeclared': { status: 'refused', refused: ['ifMatch'] },
    })
    expect(counts).toEqual({ proved: 1, refused: 1, skipped: 1, waived: 0, failed: 1 })
  })

  it('counts the proved cases among those that apply, and names the waived ones', async () => {
    const waive = { 'ls.order': { reason: 'the service cannot', issue: 'https://example.com/1' } }
    const { badge, cases } = await reportOf({ waive }, { only: ['rt.bytes', 'ls.order', 'cw.match'] })
    expect(badge).toBe('StoreD conformance 1.2 · 1/2 · 1 waived')
    expect(cases['ls.order']).toEqual({ status: 'waived', ...waive['ls.order'] })
  })

  it('names the errors that no case of the run provoked', async () => {
    const only = ['ft.broken', 'au.deny-read', 'ft.no-space']
    expect((await reportOf({}, { only })).unprovoked).toEqual(['NO_SPACE', 'PERMISSION_DENIED', 'UNAVAILABLE'])
    const fail = async () => async () => {}
    expect((await reportOf({ fail }, { only })).unprovoked).toEqual(['NO_SPACE', 'PERMISSION_DENIED'])
  })

  it.each([
    ['soak', [], 'soak'],
    ['quick', [], 'core'],
    ['soak', ['full'], 'core'],
    ['full', ['soak'], 'full'],
    ['full', ['quick'], null],
  ] as const)('of profile %s, must-cases of %j failed: level %s', (profile, broken, level) => {
    const results = PROFILES.map((each) => resultOf(each, broken.includes(each as never)))
    expect(reportJson(makeReport({ ...FACTS, profile }, results)).level).toBe(level)
  })

  it('has no level if only some cases were requested, and loses none for a failed should-case', () => {
    const should = { ...resultOf('quick', true), level: 'should' } as const
    expect(reportJson(makeReport(FACTS, [should])).level).toBe('core')
    expect(reportJson(makeReport({ ...FACTS, complete: false }, [])).level).toBeNull()
  })

  it('is the same text for the same run', async () => {
    const [one, another] = [await reportOf({}, { only: ['rt', 'ls'] }), await reportOf({}, { only: ['rt', 'ls'] })]
    expect(JSON.stringify(one)).toBe(JSON.stringify(another))
  })

  it('names the driver and the server with their versions if the harness tells', async () => {
    const server = { name: 'OpenSSH', version: '10.0' }
    const report = await reportOf({ version: '1.2.3', server }, { only: ['rt.bytes'] })
    expect(report).toMatchObject({ driver: { name: 'modest', version: '1.2.3' }, server })
  })
})

describe('capabilityTable', () => {
  it('says of each capability whether it is there, and what follows', async () => {
    const table = capabilityTable(await reportOf({}, { only: ['rt.bytes'] }))
    expect(table.split('\n')).toEqual(
      expect.arrayContaining([
        '| `range` | yes | A part of a blob is read without the rest |',
        '| `ifMatch` | no | Refused with UNSUPPORTED; a store compares first, then writes |',
        '| `checksums` | sha256, sha1, md5 | Digests of whole blobs that the backend keeps |',
      ]),
    )
    expect(table).not.toContain('limits.')
  })

  it('marks what is declared but failed', async () => {
    expect(capabilityTable(await reportOf({}, { only: ['ls.order'] }))).toContain('| `order` | yes, failed |')
  })

  it('refuses a report of a driver that could not be opened', async () => {
    const open = () => Promise.reject(new Error('no such host'))
    await expect(reportOf({ open }, { only: ['rt.bytes'] }).then(capabilityTable)).rejects.toThrow('no capabilities')
  })
})

describe('withCapabilities', () => {
  it('replaces what is between the markers, and nothing else', async () => {
    const report = await reportOf({}, { only: ['rt.bytes'] })
    const written = withCapabilities('# a\n\n<!-- capabilities -->\nold\n<!-- /capabilities -->\n\nend\n', report)
    expect(written).toMatch(
      /^# a\n\n<!-- capabilities -->\n\n\| capability[\s\S]*1\/1[\s\S]*\n\n<!-- \/capabilities -->\n\nend\n$/,
    )
    expect(withCapabilities(written, report)).toBe(written)
  })

  it('refuses a text without the markers', async () => {
    const report = await reportOf({}, { only: ['rt.bytes'] })
    expect(() => withCapabilities('# a', report)).toThrow('<!-- capabilities -->')
  })
})
