import { fileURLToPath } from 'node:url'
import type { ReportJson } from '@stored/conformance'
import { describe, expect, it } from 'vitest'
import { committedReports, printReport, reportFile } from './files.ts'
import { matrix, staleFiles } from './tables.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))

describe('what is committed', () => {
  it('equals the tables made from the reports', () => {
    expect(staleFiles(root).map(({ file }) => file)).toEqual([])
  })

  it.each(committedReports(root))('$file reaches a level', ({ report }) => {
    expect(report.level).not.toBeNull()
  })
})

describe('reports', () => {
  const report: ReportJson = {
    format: 1,
    kit: '1.0',
    driver: { name: 'acme' },
    server: { name: 'Acme | Cloud', version: '2' },
    profile: 'full',
    seed: 1,
    level: 'full',
    badge: 'StoreD conformance 1.0 · 1/2 · 1 waived',
    counts: { proved: 1, refused: 0, skipped: 2, waived: 1, failed: 0 },
    unprovoked: ['NO_SPACE'],
    capabilities: { contract: 1, range: true },
    cases: {
      'rt.bytes': { status: 'proved' },
      'rt.etag': { status: 'skipped', reason: 'no etags' },
      'rt.modified': { status: 'skipped', reason: 'no etags' },
      'ls.order': { status: 'waived', reason: 'not sorted', issue: 'https://example.com/1' },
    },
  }

  it('are kept beside the driver, one for each harness', () => {
    expect(reportFile('drivers/s3/test/harness.ts', 's3')).toBe('drivers/s3/reports/s3.json')
    expect(reportFile('drivers/s3/test/harness-r2.ts', 's3')).toBe('drivers/s3/reports/s3-r2.json')
  })

  it('are printed with a line for each case', () => {
    expect(JSON.parse(printReport(report))).toEqual(report)
    expect(printReport(report)).toContain('\n    "rt.bytes": { "status": "proved" },\n')
  })

  it('give the matrix its rows: servers, capabilities, waivers, errors never provoked, and what was not run', () => {
    const lines = matrix([report]).split('\n')
    expect(lines).toEqual(
      expect.arrayContaining([
        '| `acme` |  | Acme \\| Cloud 2 | 1.0 | full | full | 1 | 0 | 2 | 1 | 0 |',
        '| `range` | yes |',
        '| `ifAbsent` | no |',
        '| acme on Acme \\| Cloud 2 | `ls.order` | not sorted | https://example.com/1 |',
        '| acme on Acme \\| Cloud 2 | `NO_SPACE` |',
        '| no etags | `rt.etag` `rt.modified` |',
      ]),
    )
  })
})
