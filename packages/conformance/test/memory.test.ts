import { fileURLToPath } from 'node:url'
import { MemoryBackend, MemoryPlace } from '@stored/core/backend'
import { describe, expect, it } from 'vitest'
import { formatReport, type Harness, runConformance } from '../src/index.ts'

/** All skips that there are for a medium without files, permissions or processes. */
const SKIPPED: Record<string, string> = {}

function memoryHarness(): Harness {
  const place = new MemoryPlace()
  return {
    name: 'memory',
    open: async () => new MemoryBackend({ place }),
  }
}

describe('MemoryBackend', () => {
  it('passes every case of profile quick, and skips those that need what memory has not', async () => {
    const report = await runConformance(memoryHarness(), { seed: 1 })
    console.log(formatReport(report))
    const slow = [...report.proved].sort((a, b) => b.durationMs - a.durationMs).slice(0, 8)
    console.log(slow.map((r) => `${r.id} ${r.view} ${Math.round(r.durationMs)}`).join('\n'))
    expect(report.failed.map(({ error }) => error.message)).toEqual([])
  })
})
