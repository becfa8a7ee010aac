import { conformance, type Profile } from '@stored/conformance'
import { afterAll, describe, it, vi } from 'vitest'
import { harness } from './harness-ceph16.ts'

// The kit has its own time limits.
vi.setConfig({ testTimeout: 600_000 })

const made = await harness()
if (typeof made === 'string') describe.skip(`s3 conformance on Ceph 16.2: ${made}`, () => it('runs', () => {}))
else {
  afterAll(() => made.close?.())
  conformance(made, { describe, it }, { profile: (process.env.CONFORMANCE_PROFILE ?? 'quick') as Profile })
}
