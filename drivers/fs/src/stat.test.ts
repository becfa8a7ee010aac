import { statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { toStat } from './stat.ts'

const here = statSync(fileURLToPath(import.meta.url), { bigint: true })
const change = (changes: object) => Object.assign(Object.create(here), changes)

test('an etag stays the same when the disk is another device than before, as after a restart, or plugged in again', () => {
  const before = toStat('k', here)
  const after = toStat('k', change({ dev: here.dev + 1n }))
  expect(after).toEqual(before)
})

test.each(['ino', 'size', 'mtimeNs'] as const)('an etag changes with another %s', (field) => {
  expect(toStat('k', change({ [field]: here[field] + 1n })).etag).not.toBe(toStat('k', here).etag)
})
