import { conformance, type Profile } from '@stored/conformance'
import { afterAll, describe, it } from 'vitest'
import { harness } from './harness.ts'

const made = await harness()

if (typeof made === 'string') it.skip(`conformance of sftp: ${made}`, () => {})
else {
  afterAll(() => made.close?.())
  conformance(made, { describe, it }, { profile: (process.env.CONFORMANCE_PROFILE ?? 'quick') as Profile })
}
