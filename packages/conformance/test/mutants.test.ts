import { MemoryPlace } from '@stored/core/backend'
import { afterAll, describe, expect, it } from 'vitest'
import { cases, mutants, runConformance } from '../src/index.ts'

/** Which cases each mutant failed, for the table. */
const table: Record<string, { 'must fail': string; 'fails too': string }> = {}

describe('every mutant fails the cases that are meant for it', () => {
  for (const { name, fault, killedBy, open } of mutants)
    it(`${name}: ${fault}`, async () => {
      const place = new MemoryPlace()
      const report = await runConformance({ name, open: async () => open(place) }, { seed: 1 })
      const failed = [...new Set(report.failed.map(({ id }) => id))]
      table[name] = {
        'must fail': killedBy.join(' '),
        'fails too': failed.filter((id) => !killedBy.includes(id)).join(' '),
      }
      expect(failed).toEqual(expect.arrayContaining([...killedBy]))
    })

  it('names only cases that exist', () => {
    const ids = cases.map(({ id }) => id)
    expect(mutants.flatMap(({ killedBy }) => killedBy).filter((id) => !ids.includes(id))).toEqual([])
  })

  afterAll(() => console.table(table))
})
