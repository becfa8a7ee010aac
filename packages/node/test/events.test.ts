import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { setImmediate } from 'node:timers/promises'
import type { DurableEvent, Logged, StoreEvent } from '@stored/core'
import { describe, expect, test } from 'vitest'
import { collect, idOf, openAt, temp } from './temp.ts'

const DURABLE = ['put', 'delete', 'sync:complete', 'sync:error'] as const

/** Every durable event as it was announced. */
function announced(store: Awaited<ReturnType<typeof openAt>>): StoreEvent[] {
  const events: StoreEvent[] = []
  for (const type of DURABLE) store.on(type, (event) => events.push(event))
  return events
}

const nameOf = (event: Logged<DurableEvent>) =>
  `${event.type} ${'key' in event ? event.key : 'keys' in event ? event.keys : ''}`

describe('events()', () => {
  test('yields what was announced, in the order of the commits, of an earlier opening too', async () => {
    await using dir = await temp()
    const live: StoreEvent[] = []
    {
      await using store = await openAt(dir.path)
      const events = announced(store)
      await store.put(Buffer.from('one'), { key: 'one' })
      await store.put(Buffer.from('two'), { key: 'two', backends: ['a'] })
      await store.synced()
      await store.delete('one')
      await store.synced()
      live.push(...events)
    }
    await using store = await openAt(dir.path, { sync: false })
    const logged = await collect(store.events())
    const bySeq = live.toSorted((a, b) => ('seq' in a && 'seq' in b ? a.seq - b.seq : 0))
    expect(logged).toEqual(bySeq)
    expect(logged.map(nameOf).sort()).toEqual([
      'delete one',
      'put one',
      'put two',
      'sync:complete one',
      'sync:complete one',
      'sync:complete one',
      'sync:complete one',
      'sync:complete two',
    ])
  })

  test('says what was put and what was deleted', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { sync: false })
    await store.put(Buffer.from('one'), { key: 'a' })
    await store.put(Buffer.from('one'), { key: 'b' })
    await store.delete(idOf('one'))
    const [time, seq, position] = [expect.any(Number), expect.any(Number), expect.stringMatching(/^\d+$/)]
    const [checksum, version] = [idOf('one'), expect.stringMatching(/^\d+$/)]
    expect(await collect(store.events())).toEqual([
      { type: 'put', checksum, key: 'a', version, size: 3, isNew: true, time, seq, position },
      { type: 'put', checksum, key: 'b', version, size: 3, isNew: false, time, seq, position },
      { type: 'delete', checksum, keys: ['a', 'b'], time, seq, position },
    ])
  })

  test('holds nothing of a put that was refused, nor of a deletion that found nothing or only dropped a copy', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { sync: false })
    await store.put(Buffer.from('one'), { key: 'k' })
    const [{ position } = { position: '' }] = await collect(store.events())
    const refused = store.put(Buffer.from('two'), { key: 'k', ifAbsent: true })
    await expect(refused).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
    await store.delete('unknown')
    await store.delete('k', { backends: ['a'] })
    expect(await collect(store.events({ since: position }))).toEqual([])
  })

  test('holds the error of a job that was parked, as it was announced', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path)
    await store.put(Buffer.from('first'), { key: 'first' })
    await store.synced()
    // Somebody else's file: nothing may be written over it.
    await writeFile(path.join(dir.path, 'a/k'), 'a stranger')
    const live = announced(store)
    await store.put(Buffer.from('ours'), { key: 'k', backends: ['a'] })
    await expect(store.synced()).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
    const logged = (await collect(store.events())).at(-1)
    expect(logged).toMatchObject({ type: 'sync:error', key: 'k', error: { code: 'ALREADY_EXISTS' } })
    expect(live.at(-1)).toEqual(logged)
  })

  test('resumes behind since, whichever it is', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { sync: false })
    for (const key of ['a', 'b', 'c', 'd']) await store.put(Buffer.from(key), { key })
    const all = await collect(store.events())
    expect(await collect(store.events({ since: 0 }))).toEqual(all)
    for (const [i, { position, seq }] of all.entries())
      for (const since of [position, seq]) expect(await collect(store.events({ since }))).toEqual(all.slice(i + 1))
  })

  test('with follow goes on with what comes, until the loop is left', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { sync: false })
    await store.put(Buffer.from('0'), { key: 'k0' })
    const seen: string[] = []
    for await (const event of store.events({ follow: true })) {
      seen.push(nameOf(event))
      if (seen.length === 5) break
      // Not awaited: it comes while the loop waits.
      setImmediate().then(() => store.put(Buffer.from(`${seen.length}`), { key: `k${seen.length}` }))
    }
    expect(seen).toEqual(['put k0', 'put k1', 'put k2', 'put k3', 'put k4'])
  })

  test('with follow loses nothing that is put at any moment by many', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path)
    const total = 200
    const putting = (async () => {
      for (let i = 0; i < total; i += 20)
        await Promise.all(
          Array.from({ length: 20 }, (_, j) => store.put(Buffer.from(`${i + j}`), { key: `k${i + j}` })),
        )
    })()
    const seen: Logged<DurableEvent>[] = []
    // A put and two copies each.
    for await (const event of store.events({ follow: true })) if (seen.push(event) === 3 * total) break
    await putting
    expect(seen).toEqual(await collect(store.events()))
    expect(new Set(seen.map(({ seq }) => seq)).size).toBe(3 * total)
  })

  test('with follow, aborted while it waits, throws ABORTED', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { sync: false })
    const abort = new AbortController()
    const waiting = collect(store.events({ follow: true, signal: abort.signal }))
    await setImmediate()
    abort.abort(new Error('enough'))
    await expect(waiting).rejects.toMatchObject({ code: 'ABORTED', cause: { message: 'enough' } })
    const begun = store.events({ signal: abort.signal })
    await expect(begun.next()).rejects.toMatchObject({ code: 'ABORTED' })
  })

  test('with follow throws CLOSED when the store closes', async () => {
    await using dir = await temp()
    const store = await openAt(dir.path, { sync: false })
    const waiting = collect(store.events({ follow: true })).catch((error) => error)
    await setImmediate()
    await store.close()
    expect(await waiting).toMatchObject({ code: 'CLOSED', at: { op: 'events' } })
    expect(() => store.events()).toThrow(expect.objectContaining({ code: 'CLOSED' }))
  })

  test('with follow, left while a step waits, ends that step', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { sync: false })
    const events = store.events({ follow: true })
    const step = events.next()
    await setImmediate()
    await events.return?.()
    expect(await step).toEqual({ done: true, value: undefined })
    expect(await events.next()).toEqual({ done: true, value: undefined })
  })

  test.each([
    [{ since: -1 }, /"since" must be the position of an event, not -1/],
    [{ since: 1.5 }, /"since" must be the position of an event/],
    [{ since: '' }, /"since" must be the position of an event, not an empty string/],
    [{ follow: 1 }, /"follow" must be true or false, not number/],
    [{ folow: true }, /unknown option "folow"; did you mean "follow"\?/],
    [null, /options must be an object, not null/],
  ])('with %j is refused at once with INVALID_ARGUMENT', async (options, message) => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { sync: false })
    const code = 'INVALID_ARGUMENT'
    expect(() => store.events(options as never)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    )
  })
})

describe('events() of two processes', () => {
  const CHILD = `
    import { openStore } from '@stored/node'
    const [path, root] = process.argv.slice(1)
    const store = await openStore({ path, backends: { a: { driver: 'fs', root } }, sync: false })
    process.stdout.write('ready\\n')
  `

  /** Runs `script` with a store of its own, on the same directory. */
  function child(directory: string, script: string) {
    const file = [path.join(directory, 'store'), path.join(directory, 'a')]
    const args = ['--input-type=module', '-e', `${CHILD}${script}\nawait store.close()`, ...file]
    const running = spawn(process.execPath, args, {
      cwd: path.join(import.meta.dirname, '..'),
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    return { exit: once(running, 'exit'), lines: createInterface(running.stdout)[Symbol.asyncIterator](), running }
  }

  test('follow what the other one puts, and stay alive while they wait', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { backends: { a: { driver: 'fs', root: path.join(dir.path, 'a') } } })
    const other = child(
      dir.path,
      `for await (const { type, key } of store.events({ follow: true })) {
         process.stdout.write(type + ' ' + key + '\\n')
         if (type === 'put' && key === 'theirs') break
         if (type === 'sync:complete' && key === 'ours') await store.put(Buffer.from('theirs'), { key: 'theirs' })
       }`,
    )
    expect((await other.lines.next()).value).toBe('ready')
    await store.put(Buffer.from('ours'), { key: 'ours' })
    for await (const event of store.events({ follow: true })) if (nameOf(event) === 'put theirs') break
    const seen = ['put ours', 'sync:complete ours', 'put theirs']
    for (const line of seen) expect((await other.lines.next()).value).toBe(line)
    expect(await other.exit).toEqual([0, null])
  })
})
