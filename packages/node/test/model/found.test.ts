import { StorageError } from '@stored/core/backend'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { collect, idOf } from '../ports/subject.ts'
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

  test('of which a blob is deleted while its key is bound to another one keeps the key', async () => {
    const world = await open(['ids'])
    await world.store.put(HELLO, { key: 'a' })
    const { index } = world.services
    const binding = index.binding.bind(index)
    index.binding = async (key) => {
      index.binding = binding
      await world.store.put(WORLD, { key: 'a' })
      return binding(key)
    }
    expect((await world.store.delete(idOf('hello'))).deleted).toEqual([])
    expect(await world.store.get('a')).toEqual(WORLD)
    await world.close()
  })

  test('of which a blob is deleted while a second key is bound to it unbinds both', async () => {
    const world = await open(['near'])
    await world.store.put(HELLO, { key: 'a' })
    const { index } = world.services
    const keys = index.keys.bind(index)
    index.keys = async function* (id) {
      index.keys = keys
      const before = await collect(keys(id))
      await world.store.put(HELLO, { key: 'b' })
      yield* before
    }
    expect((await world.store.delete(idOf('hello'))).deleted).toEqual(['a', 'b'])
    await world.close()
  })

  test.each<[string, (store: World['store']) => Promise<unknown>, unknown]>([
    ['get()', (store) => store.get('a').then(String), 'world'],
    ['get() of a range', (store) => store.get('a', { range: { length: 2 } }).then(String), 'wo'],
    ['stat()', (store) => store.stat('a').then((record) => record?.id), idOf('world')],
    ['list()', (store) => collect(store.list()).then((listed) => listed.map(({ id }) => id)), [idOf('world')]],
    ['delete()', (store) => store.delete('a').then(({ deleted }) => deleted), ['a']],
  ])('of which a key is bound anew while %s looks it up has an answer', async (_, call, answer) => {
    const world = await open(['near'])
    await world.store.put(HELLO, { key: 'a' })
    const { index, staging } = world.services
    const known = index.known.bind(index)
    const has = staging.has.bind(staging)
    // What is staged is read without a look at what else is known.
    staging.has = () => false
    index.known = async (id) => {
      index.known = known
      staging.has = has
      await world.store.put(WORLD, { key: 'a' })
      return known(id)
    }
    expect(await clock.until(call(world.store))).toEqual(answer)
    await world.close()
  })

  test('whose only staged bytes leave while get() looks for them reads the copy they left for', async () => {
    const world = await open(['near', 'far'])
    world.outage = new StorageError('UNAVAILABLE', { backend: 'far', op: 'put' })
    await world.store.put(HELLO, { key: 'a' })
    const { index, staging } = world.services
    const [known, has] = [index.known.bind(index), staging.has.bind(staging)]
    staging.has = () => false
    index.known = async (id) => {
      index.known = async (id) => {
        Object.assign(index, { known })
        Object.assign(staging, { has })
        return known(id)
      }
      const before = await known(id)
      await clock.pass(10)
      return before
    }
    expect(await clock.until(world.store.get('a'))).toEqual(HELLO)
    world.outage = null
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
