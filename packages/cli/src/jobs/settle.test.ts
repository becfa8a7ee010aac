import type { BackendState, Job, StoreD } from '@stored/core'
import { expect, test } from 'vitest'
import { tryAgain } from './settle.ts'

/** A store of one backend with one job. */
function storeOf(state: BackendState['state'], job: Partial<Job>, waiting = 1) {
  const resumed: string[] = []
  const store = {
    listBackends: async () => [{ name: 'a', state, jobs: { waiting } }],
    async *jobs() {
      yield job
    },
    resume: async (name: string) => void resumed.push(name),
  } as unknown as StoreD
  return { store, resumed }
}

test.each([
  ['a backend that fails with a job that was never tried', storeOf('failing', {}), ['a']],
  ['a backend that is unusable with a job that was never tried', storeOf('unusable', {}), ['a']],
  [
    'a backend that is well, of which a try failed',
    storeOf('ok', { error: { code: 'UNAVAILABLE', message: '' } }),
    ['a'],
  ],
  ['a backend that is well with a job that was never tried', storeOf('ok', {}), []],
  ['a backend that fails without jobs', storeOf('failing', {}, 0), []],
  ['a backend that is paused', storeOf('paused', { error: { code: 'UNAVAILABLE', message: '' } }), []],
])('tryAgain() with %s', async (_, { store, resumed }, expected) => {
  await tryAgain(store, {})
  expect(resumed).toEqual(expected)
})
