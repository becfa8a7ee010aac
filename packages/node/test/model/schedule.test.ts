import fc from 'fast-check'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { collect, collectPages, idOf } from '../ports/subject.ts'
import { fromEnvironment, TIMEOUT_MS, tell } from '../proof/inputs.ts'
import { Troubles } from '../proof/troubles.ts'
import { type TempDirectory, temp } from '../temp.ts'
import { type Action, callers, getOf, History, KEYS, type Name, put, TEXTS } from './actions.ts'
import { equal } from './compare.ts'
import { checkParameters } from './inputs.ts'
import { idKey } from './model.ts'
import { ScheduledStore } from './scheduled-store.ts'
import { WallClock } from './wall-clock.ts'

const SCHEDULES = fromEnvironment('MODEL_SCHEDULES', 2000)

const layouts = fc.constantFrom('key', 'id')

describe(`calls at once, in ${SCHEDULES} orders of their steps and those of the jobs`, () => {
  let directory: TempDirectory
  let clock: WallClock

  beforeAll(async () => {
    directory = await temp()
    clock = new WallClock()
  })

  afterAll(async () => {
    clock[Symbol.dispose]()
    await directory[Symbol.asyncDispose]()
  })

  test('answer as if one came after the other, and leave on the backends what the last ones said', {
    timeout: TIMEOUT_MS,
  }, async () => {
    using troubles = new Troubles()
    let steps = 0
    const before = fc.array(put, { maxLength: 2 })
    const property = fc.asyncProperty(
      fc.scheduler(),
      layouts,
      before,
      callers,
      async (scheduler, layout, first, all) => {
        clock.reset()
        const world = await ScheduledStore.open({ scheduler, layout, directory: directory.path })
        await play(world, first, all)
        await demandSettled(world, layout)
        await world.close()
        steps += scheduler.report().length
        if (troubles.seen.length > 0) throw troubles.seen[0]
      },
    )
    await fc.assert(property, { numRuns: SCHEDULES, ...checkParameters() })
    tell(`${steps} steps`)
  })
})

/** Some calls one after the other, then those of all callers at once, then a look at all keys. */
async function play(world: ScheduledStore, first: readonly Action[], all: readonly Action[][]): Promise<void> {
  const history = new History()
  for (const action of first) await world.run(history.note(action, world.store))
  const calling = all.map(async (own) => {
    for (const action of own) await history.note(action, world.store)
  })
  await world.run(Promise.all(calling))
  for (const key of KEYS) await world.run(history.note(getOf(key), world.store))
  history.check()
  await world.run(world.store.synced())
}

/** Every copy is where the index says, nothing else is anywhere or still to be done, and what is bound has all its copies. */
async function demandSettled(world: ScheduledStore, layout: 'key' | 'id'): Promise<void> {
  const expected: Record<Name, Record<string, string>> = { first: {}, second: {} }
  for (const text of TEXTS)
    for (const { backend, key, state } of (await world.run(world.store.stat(idOf(text))))?.locations ?? []) {
      equal(state, 'synced', `${backend}/${key}`)
      expected[backend as Name][key] = text
    }
  for (const { key, id } of await world.run(collect(world.store.list())))
    equal(
      [expected.first[key], expected.second[layout === 'id' ? idKey(id) : key]].map((text) => text && idOf(text)),
      [id, id],
      `copies of ${key}`,
    )
  equal(world.objects(), expected, 'what lies on the backends')
  equal(world.staging.usage().count, 0, 'blobs staged')
  equal(await world.run(collectPages(world.queue.jobs({}))), [], 'jobs')
}
