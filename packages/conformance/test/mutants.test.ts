import { MemoryPlace } from '@stored/core/backend'
import { afterAll, describe, expect, it } from 'vitest'
import { cases, driverMutants, killMutants, mutants, mutated, runConformance } from '../src/index.ts'
import { listingMutants } from '../src/listing-mutants.ts'
import { harness } from './harness.ts'

/** Whether each mutant runs every case, for the table of what else it fails: takes a minute. */
const ALL = process.env.CONFORMANCE_PROFILE === 'full'

/** Which cases each mutant failed, for the table. */
const table: Record<string, { 'must fail': string; 'fails too': string }> = {}

describe('every mutant fails the cases that are meant for it', () => {
  for (const { name, fault, killedBy, profile, open, hooks } of mutants)
    it(`${name}: ${fault}`, async () => {
      const place = new MemoryPlace()
      const harness = { name, inProcess: true, open: async () => open(place), ...hooks?.(place) }
      const report = await runConformance(harness, {
        seed: 1,
        profile: profile ?? 'quick',
        ...(!ALL && { only: killedBy }),
      })
      const failed = [...new Set(report.failed.map(({ id }) => id))]
      table[name] = {
        'must fail': killedBy.join(' '),
        'fails too': failed.filter((id) => !killedBy.includes(id)).join(' '),
      }
      expect(failed).toEqual(expect.arrayContaining([...killedBy]))
    })

  it('names only cases that exist', () => {
    const ids = cases.map(({ id }) => id)
    expect(
      [...mutants, ...driverMutants].flatMap(({ killedBy }) => killedBy).filter((id) => !ids.includes(id)),
    ).toEqual([])
  })

  if (ALL) afterAll(() => console.table(table))
})

killMutants(harness(), { describe, it })

describe('a listing of 2,500 keys in pages of 1,000', () => {
  const ofPages = listingMutants(1_000).filter(({ killedBy }) => killedBy.some((id) => id.startsWith('ls.pages')))
  it.each(ofPages)('of $name fails: $fault', async (mutant) => {
    const only = mutant.killedBy.filter((id) => id.startsWith('ls.pages'))
    const { failed } = await runConformance(mutated(harness(), mutant), { seed: 1, profile: 'full', only })
    expect(failed.map(({ id }) => id)).toEqual(only)
  })
})
