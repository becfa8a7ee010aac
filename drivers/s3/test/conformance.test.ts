import { conformance, type Profile } from '@stored/conformance'
import { afterAll, describe, it, vi } from 'vitest'
import { harness } from './harness.ts'
import { harness as ceph16 } from './harness-ceph16.ts'

// The kit has time limits of its own.
vi.setConfig({ testTimeout: 600_000 })
const profile = (process.env.CONFORMANCE_PROFILE ?? 'quick') as Profile

for (const [server, made] of [
  ['Ceph 20.2', await harness()],
  ['Ceph 16.2', await ceph16()],
] as const) {
  if (typeof made === 'string') describe.skip(`s3 conformance on ${server}: ${made}`, () => it('runs', () => {}))
  else
    describe(`on ${server}`, () => {
      conformance(made, { describe, it }, { profile })
      afterAll(() => made.close?.())
    })
}
