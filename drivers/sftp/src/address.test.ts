import { overlapOf } from '@stored/core/backend'
import { describe, expect, it } from 'vitest'
import { addressOf } from './address.ts'

function overlap(one: object, other: object) {
  const [a, b] = [one, other].map((options) => addressOf({ host: 'h', username: 'me', root: '/d', ...options }))
  return overlapOf(a, b)
}

describe('addressOf()', () => {
  it.each([
    ['one directory twice', { root: '/d/e' }, { root: '/d//x/../e/', host: 'H', port: 22 }, 'same'],
    ['one directory of two users', {}, { username: 'you' }, 'same'],
    ['a directory in another', { root: '/d/e' }, {}, 'inside'],
    ['the whole server', { root: '/' }, {}, 'around'],
    ['a relative directory twice', { root: 'd' }, { root: './d/' }, 'same'],
    ['where the user starts', { root: '.' }, { root: 'd' }, 'around'],
    ['relative directories of two users', { root: 'd' }, { root: 'd', username: 'you' }, null],
    ['a directory beside another', {}, { root: '/de' }, null],
    ['two hosts', {}, { host: 'i' }, null],
    ['two ports', {}, { port: 2222 }, null],
  ])('%s', (_, one, other, expected) => {
    expect(overlap(one, other)).toBe(expected)
  })
})
