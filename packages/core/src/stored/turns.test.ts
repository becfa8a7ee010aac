import { expect, test } from 'vitest'
import { Turns } from './turns.ts'

test('take() of one name runs one after the other, in order, also after a failure; other names do not wait', async () => {
  const turns = new Turns()
  const ran: string[] = []
  const first = Promise.withResolvers<void>()
  const one = turns.take('a', () => first.promise.then(() => ran.push('a1')))
  const two = turns.take('a', async () => {
    ran.push('a2')
    throw new Error('a2 failed')
  })
  const three = turns.take('a', async () => ran.push('a3'))
  await turns.take('b', async () => ran.push('b'))
  first.resolve()
  await Promise.allSettled([one, two, three])
  await expect(two).rejects.toThrow('a2 failed')
  expect(ran).toEqual(['b', 'a1', 'a2', 'a3'])
})
