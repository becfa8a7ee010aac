import { expect, test } from 'vitest'
import { FailingPaths } from './failing-paths.ts'

const nearness = (paths: FailingPaths, ...keys: string[]) => keys.map((key) => paths.nearness({ key }))

test('a job is nearer to failed ones the more of its path it shares with one', () => {
  const paths = new FailingPaths()
  paths.failed('photos/2020/a')
  expect(nearness(paths, 'docs/x', 'x', 'photos/x', 'photos/2021/x', 'photos/2020/x', 'photos/2020/raw/x')).toEqual([
    0, 0, 1, 1, 2, 2,
  ])
})

test('keys at the top share the top, and nothing with those below', () => {
  const paths = new FailingPaths()
  paths.failed('a')
  expect(nearness(paths, 'b', 'dir/b')).toEqual([1, 0])
})

test('a job that failed itself is not near but out of the question', () => {
  expect(new FailingPaths().nearness({ key: 'a', error: { code: 'TIMEOUT' } })).toBe(Number.POSITIVE_INFINITY)
})

test('a success clears its directory and those above, and no other', () => {
  const paths = new FailingPaths()
  paths.failed('photos/2020/a')
  paths.answered('photos/2021/b')
  expect(nearness(paths, 'photos/2022/x', 'photos/2020/x')).toEqual([0, 1])
  paths.answered('photos/2020/a')
  expect(nearness(paths, 'photos/2020/x')).toEqual([0])
})

test('memory is bounded: after ten thousand all are forgotten', () => {
  const paths = new FailingPaths()
  for (let i = 0; i <= 10_000; i++) paths.failed(`${i}/k`)
  paths.failed('last/k')
  expect(nearness(paths, '0/x', 'last/x')).toEqual([0, 1])
})
