import { releaseVerified } from '@stored/core'
import { expect, test, vi } from 'vitest'
import { idOf } from '../temp.ts'
import { at, openWorld } from './world.ts'

test('releaseVerified() looks at a page of places a commit, and releases all the same', async () => {
  await using world = await openWorld()
  const { index, ledger, staging } = world
  const verified = Date.now()
  const keys = Array.from({ length: 300 }, (_, i) => String(i))
  const blobs = ['one', 'two', 'three'].map((text) => ({ id: idOf(text), text }))
  for (const { id, text } of blobs) {
    const copies = keys.flatMap((key) => [
      at(id, 'x', `${text}/${key}`, 'synced', { verified }),
      at(id, 'y', `${text}/${key}`, 'pending'),
    ])
    await world.given(id, [], ...copies)
    await world.stage(id, Buffer.from(text))
    await world.commit((tx) => staging.markReleasable(tx, id))
  }
  vi.spyOn(staging, 'isAboveHighWater').mockReturnValue(true)
  vi.spyOn(staging, 'usage').mockReturnValue({ bytes: 9, count: 3, limit: 9, excess: 9 })
  const transact = vi.spyOn(ledger, 'transact')
  await releaseVerified({ index, ledger, staging }, () => true, verified)
  expect(transact).toHaveBeenCalledTimes(2)
  for (const { id } of blobs) expect(await world.isStaged(id)).toBe(false)
})
