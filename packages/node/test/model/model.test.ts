import fc from 'fast-check'
import { afterAll, beforeAll, describe, test, vi } from 'vitest'
import { fromEnvironment, seedRandom, TIMEOUT_MS, tell } from '../proof/inputs.ts'
import { Troubles } from '../proof/troubles.ts'
import { type TempDirectory, temp } from '../temp.ts'
import { BLOBS, COMMANDS } from './commands.ts'
import { converge } from './compare.ts'
import { checkParameters, replayPath } from './inputs.ts'
import { Model } from './model.ts'
import { WallClock } from './wall-clock.ts'
import { type Name, type Setup, World } from './world.ts'

const SEQUENCES = fromEnvironment('MODEL_SEQUENCES', 400)
/** On average; twice as many at most. */
const LENGTH = 50

const setups: fc.Arbitrary<Setup> = fc.record({
  names: fc.constantFrom<readonly Name[]>(['near', 'ids', 'far'], ['near', 'far'], ['ids', 'far'], ['near', 'ids']),
  layout: fc.constantFrom('key', 'id'),
  seed: fc.integer({ min: 1, max: 2 ** 31 }),
})

describe(`a store with two or three backends, in ${SEQUENCES} sequences of about ${LENGTH} calls, faults and ends`, () => {
  let directory: TempDirectory
  let clock: WallClock

  beforeAll(async () => {
    directory = await temp()
    clock = new WallClock()
  })

  afterAll(async () => {
    clock[Symbol.dispose]()
    vi.restoreAllMocks()
    await directory[Symbol.asyncDispose]()
  })

  test('shows what its model shows after each, and in the end has brought every copy to its place', {
    timeout: TIMEOUT_MS,
  }, async () => {
    using troubles = new Troubles()
    const commands = fc.commands(COMMANDS, { maxCommands: 2 * LENGTH, size: 'max', ...replayPath() })
    let steps = 0
    const property = fc.asyncProperty(setups, commands, async (setup, sequence) => {
      clock.reset()
      seedRandom(setup.seed)
      const run = { world: await World.open(setup, clock, directory.path), model: new Model(setup), blobs: BLOBS }
      const real = { ...run, frozen: new Set<Name>() }
      await fc.asyncModelRun(() => ({ model: run.model, real }), sequence)
      await converge(real)
      await run.world.close()
      steps += [...sequence].length
      if (troubles.seen.length > 0) throw troubles.seen[0]
    })
    await fc.assert(property, { numRuns: SEQUENCES, ...checkParameters() })
    tell(`${steps} steps`)
  })
})
