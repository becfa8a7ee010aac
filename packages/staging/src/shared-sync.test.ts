import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { testDirectory } from '@stored/testing/directory'
import { beforeEach, expect, test } from 'vitest'
import { SharedSync } from './shared-sync.ts'

let directory: string
beforeEach(async () => {
  directory = await testDirectory()
})

test('run() during a flush waits for the next one, which all who come meanwhile share', async () => {
  const sync = new SharedSync(directory)
  const first = sync.run()
  const [second, third] = [sync.run(), sync.run()]
  expect(second).not.toBe(first)
  expect(third).toBe(second)
  const order: string[] = []
  await Promise.all([first.then(() => order.push('first')), second.then(() => order.push('second'))])
  expect(order).toEqual(['first', 'second'])
})

test('run() after the last flush flushes anew', async () => {
  const sync = new SharedSync(directory)
  const first = sync.run()
  await first
  const second = sync.run()
  expect(second).not.toBe(first)
  await second
})

test('run() of a directory that is gone rejects for all who share it, and works again once it is back', async () => {
  const gone = path.join(directory, 'gone')
  const sync = new SharedSync(gone)
  const outcomes = await Promise.allSettled([sync.run(), sync.run(), sync.run()])
  for (const outcome of outcomes) expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'NOT_FOUND' } })
  await mkdir(gone)
  await expect(sync.run()).resolves.toBeUndefined()
})
