import type { BackendState, Job, StoreD } from '@stored/core'
import { expect, test } from 'vitest'
import { tryAgain } from './settle.ts'

/** A store with one backend and one job. */
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
  ['a failing backend with a job that was never tried', storeOf('failing', {}), ['a']],
  ['an unusable backend with a job that was never tried', storeOf('unusable', {}), ['a']],
  ['a healthy backend where one attempt failed', storeOf('ok', { error: { code: 'UNAVAILABLE', message: '' } }), ['a']],
  ['a healthy backend with a job that was never tried', storeOf('ok', {}), []],
  ['a failing backend without jobs', storeOf('failing', {}, 0), []],
  ['a paused backend', storeOf('paused', { error: { code: 'UNAVAILABLE', message: '' } }), []],
])('tryAgain() with %s', async (_, { store, resumed }, expected) => {
  await tryAgain(store, {})
  expect(resumed).toEqual(expected)
})
