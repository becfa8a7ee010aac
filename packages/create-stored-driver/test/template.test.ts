import { runConformance } from '@stored/conformance'
import { StorageError } from '@stored/core/backend'
import { describe, expect, it } from 'vitest'
import { AcmeBackend, driver } from '../src/template/src/index.ts'
import { harness } from '../src/template/test/harness.ts'

describe('the generated driver', () => {
  it('passes every case of profile quick that its harness can run', async () => {
    const { failed, passed, proved } = await runConformance(harness)
    expect(failed.map(({ error }) => error.message)).toEqual([])
    expect(passed).toBe(true)
    expect(proved.length).toBeGreaterThan(150)
  })

  it('is made by `driver` from the options of a configuration', () => {
    expect(driver({ bucket: 'photos' })).toBeInstanceOf(AcmeBackend)
  })

  it.each([
    [{}, 'option "bucket" is missing: it must be the name of a bucket'],
    [{ bucket: '' }, 'option "bucket" must be the name of a bucket, not an empty string'],
    [{ bucket: 'photos', bukket: 1 }, 'unknown option "bukket"; did you mean "bucket"?'],
  ])('refuses %j with INVALID_ARGUMENT', (options, detail) => {
    const error = thrownBy(() => driver(options))
    expect(StorageError.is(error) && { code: error.code, detail: error.detail }).toEqual({
      code: 'INVALID_ARGUMENT',
      detail,
    })
  })
})

function thrownBy(call: () => unknown): unknown {
  try {
    call()
  } catch (error) {
    return error
  }
  return undefined
}
