import { conformance, type Harness, type Profile } from '@stored/conformance'
import { afterAll, describe, it, vi } from 'vitest'
import { harness } from './harness.ts'
import { harness as emulator } from './harness-fauxqs.ts'

// The kit has its own time limits.
vi.setConfig({ testTimeout: 600_000 })

const ceph = await harness()
if (typeof ceph === 'string') {
  describe.skip(`s3 conformance on Ceph 20.2: ${ceph}`, () => it('runs', () => {}))
  prove(await insteadOfCeph(ceph))
} else {
  prove(ceph)
}

/** @param reason Why there is no Ceph. With REQUIRE_SERVICES=1 that is an error, and this is not reached. */
async function insteadOfCeph(reason: string): Promise<Harness> {
  const made = await emulator()
  const { name, version } = made.server ?? {}
  console.warn(
    `s3 conformance runs on ${name} ${version}, which proves less than Ceph 20.2. Ceph cannot be had here: ${reason}. ` +
      'It can on Debian, without root, where apt-get reaches a mirror.',
  )
  return made
}

function prove(made: Harness): void {
  afterAll(() => made.close?.())
  conformance(made, { describe, it }, { profile: (process.env.CONFORMANCE_PROFILE ?? 'quick') as Profile })
}
