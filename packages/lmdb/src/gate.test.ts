import { spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { testDirectory } from '@stored/testing/directory'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Gate } from './gate.ts'
import { Presence } from './presence.ts'

let directory: string
let gate: Gate
beforeEach(async () => {
  directory = await testDirectory()
  gate = await Gate.open(directory)
})
afterEach(async () => {
  vi.restoreAllMocks()
  await gate.close()
})

/** A commit that calls `write`, and is published once `publish` is called. */
function begin(write: () => void): { publish: () => void; committed: Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>()
  const transact = (attempt: () => void) => {
    attempt()
    return promise
  }
  return { publish: resolve, committed: gate.commit(transact, write) }
}

/** Resolves once somebody looked for another, and found one. */
async function someoneWaits(looks: { mock: { results: { value: unknown }[] } }): Promise<void> {
  await expect.poll(() => looks.mock.results.some(({ value }) => (value as string[]).length > 0)).toBe(true)
}

test('open() waits until what is being committed is published', async () => {
  const looks = vi.spyOn(Presence.prototype, 'pids', 'get')
  const order: string[] = []
  const { publish, committed } = begin(() => order.push('written'))
  const opened = gate.open(async () => order.push('opened'))
  await someoneWaits(looks)
  order.push('published')
  publish()
  await Promise.all([committed, opened])
  expect(order).toEqual(['written', 'published', 'opened'])
})

test('commit() while another opens gives way, and writes once after it', async () => {
  const looks = vi.spyOn(Presence.prototype, 'pids', 'get')
  const order: string[] = []
  const { publish } = begin(() => order.push('first'))
  const opened = gate.open(async () => order.push('opened'))
  await someoneWaits(looks)
  const second = gate.commit(
    async (attempt) => attempt(),
    () => order.push('second'),
  )
  publish()
  await Promise.all([opened, second])
  expect(order).toEqual(['first', 'opened', 'second'])
})

test('open() and commit() of what throws throw that, and leave', async () => {
  const fails = () => {
    throw new Error('no space')
  }
  await expect(gate.open(async () => fails())).rejects.toThrow('no space')
  await expect(gate.commit(async () => fails(), vi.fn())).rejects.toThrow('no space')
  const { publish, committed } = begin(vi.fn())
  publish()
  await committed
  expect(await gate.open(async () => 'open')).toBe('open')
})

const CHILD = `
  import { Presence } from ${JSON.stringify(new URL('presence.ts', import.meta.url).href)}
  globalThis.leave = (await Presence.open(process.argv[1])).enter()
  console.log('there')
  setInterval(() => {}, 1000)
`

test.each(['opening', 'committing'])('who was killed while %s is waited for no longer', async (what) => {
  const file = path.join(directory, `${what}.mdb`)
  const child = spawn(process.execPath, ['--input-type=module', '-e', CHILD, file], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const closed = once(child, 'close')
  await once(child.stdout, 'data')
  const looks = vi.spyOn(Presence.prototype, 'pids', 'get')
  const write = vi.fn()
  const waiting = what === 'opening' ? gate.commit(async (attempt) => attempt(), write) : gate.open(async () => write())
  await someoneWaits(looks)
  expect(write).not.toHaveBeenCalled()
  child.kill('SIGKILL')
  await Promise.all([closed, waiting])
  expect(write).toHaveBeenCalledOnce()
})

test('open() and commit() give up on who stays in the way, and name it', async () => {
  const hasty = await Gate.open(directory, { polls: 3 })
  const opening = await Presence.open(path.join(directory, 'opening.mdb'))
  const committing = await Presence.open(path.join(directory, 'committing.mdb'))
  const leave = [opening.enter(), committing.enter()]
  const failure = (what: string) => ({
    code: 'UNAVAILABLE',
    message: expect.stringContaining(`${what} by process ${process.pid}`),
  })
  await expect(hasty.open(vi.fn())).rejects.toMatchObject(failure('committed to'))
  await expect(hasty.commit(async (attempt) => attempt(), vi.fn())).rejects.toMatchObject(failure('opened'))
  for (const one of leave) one()
  expect(await hasty.open(async () => 'open')).toBe('open')
  for (const one of [opening, committing, hasty]) await one.close()
})
