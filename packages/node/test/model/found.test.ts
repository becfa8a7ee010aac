import { StorageError } from '@stored/core/backend'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { collect } from '../ports/subject.ts'
import { type TempDirectory, temp } from '../temp.ts'
import { WallClock } from './wall-clock.ts'
import { type Name, type Setup, World } from './world.ts'

const HELLO = Buffer.from('hello')
const WORLD = Buffer.from('world')

/** What the model found, made small. */
describe('a store', () => {
  let directory: TempDirectory
  let clock: WallClock

  beforeEach(async () => {
    directory = await temp()
    clock = new WallClock()
  })

  afterEach(async () => {
    clock[Symbol.dispose]()
    await directory[Symbol.asyncDispose]()
  })

  function open(names: readonly Name[], layout: Setup['layout'] = 'key'): Promise<World> {
    return World.open({ names, layout, seed: 1 }, clock, directory.path)
  }

  test('whose key was bound anew while a delete ran that had failed before shows no error of it', async () => {
    const world = await open(['far'])
    world.outage = new StorageError('UNAVAILABLE', { backend: 'far', op: 'stat' })
    await world.store.put(HELLO, { key: 'a' })
    await world.store.delete('a')
    await clock.pass(10_000)
    world.outage = null
    while ((await collect(world.store.jobs({ state: 'running' }))).length === 0) await clock.pass(10)
    await world.store.put(WORLD, { key: 'a' })
    while ((await collect(world.store.jobs({ state: 'running' }))).some(({ op }) => op === 'delete'))
      await clock.pass(10)
    expect((await world.store.stat('a'))?.locations).toEqual([
      { backend: 'far', key: 'a', state: 'pending', synced: false },
    ])
    await world.close()
  })

  test('whose only staged bytes leave once get() has found them reads the copy they left for', async () => {
    const world = await open(['near'])
    await world.store.put(HELLO, { key: 'a' })
    const { staging } = world.services
    const openStaged = staging.open.bind(staging)
    staging.open = async (...args) => {
      staging.open = openStaged
      await clock.until(world.store.synced())
      return openStaged(...args)
    }
    expect(await clock.until(world.store.get('a'))).toEqual(HELLO)
    await world.close()
  })

  test('to which a blob is put again whose writes landed unheard leaves nothing when it is deleted', async () => {
    const world = await open(['far'])
    await world.store.put(HELLO, { key: 'a' })
    for (let crashes = 0; crashes < 3; crashes++) {
      await clock.pass(25)
      await world.crash()
    }
    await world.still()
    await world.store.pause('far')
    await world.store.put(HELLO, { key: 'a' })
    await world.store.delete('a')
    await world.store.resume('far')
    await clock.until(world.store.synced())
    expect([...world.places.far.blobs.keys()]).toEqual([])
    await world.close()
  })
})
