import { killMutants } from '@stored/conformance'
import { afterAll, describe, it } from 'vitest'
import { harness } from './harness.ts'

const made = await harness()

if (typeof made === 'string') it.skip(`mutants of sftp: ${made}`, () => {})
else {
  afterAll(() => made.close?.())
  killMutants(made, { describe, it })
}
