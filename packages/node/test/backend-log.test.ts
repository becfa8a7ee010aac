import { once } from 'node:events'
import path from 'node:path'
import type { BackendLogEvent } from '@stored/core'
import { MemoryBackend, type OpenContext, StorageError } from '@stored/core/backend'
import { openStore } from '@stored/node'
import { expect, test } from 'vitest'
import { collect, temp } from './temp.ts'

/** Memory that has something to say, and whose first read fails. */
class Talkative extends MemoryBackend {
  #reads = 0

  override async open({ log }: OpenContext): Promise<void> {
    log({ level: 'warn', message: 'the disk is nearly full', key: 'k' })
  }

  override get(...args: Parameters<MemoryBackend['get']>): ReturnType<MemoryBackend['get']> {
    if (this.#reads++ > 0) return super.get(...args)
    return Promise.reject(new StorageError('UNAVAILABLE', { op: 'get', key: 'k' }, { detail: 'reset' }))
  }
}

async function open(directory: string) {
  return openStore({ path: path.join(directory, 'store'), backends: { far: { backend: new Talkative() } } })
}

test('on("log") hears what drivers and their guards have to say, with the name of the backend', async () => {
  await using dir = await temp()
  await using store = await open(dir.path)
  const heard: BackendLogEvent[] = []
  store.on('log', (event) => heard.push(event))
  await store.put(Buffer.from('hello'), { key: 'k' })
  await store.synced()
  expect(String(await store.get('k'))).toBe('hello')
  const common = { type: 'log', backend: 'far', key: 'k', time: expect.any(Number) }
  expect(heard).toEqual([
    { ...common, level: 'warn', message: 'the disk is nearly full' },
    { ...common, level: 'debug', message: 'tried again: far get "k": UNAVAILABLE: reset' },
  ])
})

test('a listener of it that throws breaks nothing, and nothing of it is in the events that are kept', async () => {
  await using dir = await temp()
  await using store = await open(dir.path)
  const warned = once(process, 'warning')
  store.on('log', () => {
    throw new Error('listener')
  })
  await store.put(Buffer.from('hello'), { key: 'k' })
  await store.synced()
  expect(await warned).toMatchObject([{ message: 'listener' }])
  expect((await collect(store.events())).map(({ type }) => type)).toEqual(['put', 'sync:complete'])
})
