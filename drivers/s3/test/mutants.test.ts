import { killMutants } from '@stored/conformance'
import { afterAll, describe, it, vi } from 'vitest'
import { harness } from './harness.ts'

// The kit has its own time limits.
vi.setConfig({ testTimeout: 600_000 })

const made = await harness()

if (typeof made === 'string') it.skip(`mutants of s3: ${made}`, () => {})
else {
  afterAll(() => made.close?.())
  killMutants(made, { describe, it })
}
