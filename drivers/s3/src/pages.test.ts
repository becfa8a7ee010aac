import { expect, it } from 'vitest'
import { Pages } from './pages.ts'

it.each([
  [1, 1],
  [1, 7],
  [100, 1],
  [100, 30],
])('follow() refuses a listing that loops after %i pages, over %i', (before, around) => {
  const pages = new Pages({ op: 'list' })
  const turn = () => {
    for (let page = 0; page < 10 * (before + around); page++)
      pages.follow(page < before ? `on ${page}` : `round ${(page - before) % around}`)
  }
  expect(turn).toThrow(expect.objectContaining({ code: 'UNAVAILABLE' }))
})

it('follow() accepts any number of pages that advance, and their end', () => {
  const pages = new Pages({ op: 'list' })
  for (let page = 0; page < 10_000; page++) expect(pages.follow(`${page}`)).toBe(`${page}`)
  expect(pages.follow(undefined)).toBeUndefined()
})

it('follow() refuses a marker that is longer than any service makes', () => {
  expect(() => new Pages({ op: 'list' }).follow('x'.repeat(1 << 20))).toThrow(/1048576 characters/)
})
