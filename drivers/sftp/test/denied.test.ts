import { conformance, type Profile } from '@stored/conformance'
import { afterAll, describe, it } from 'vitest'
import { harnessAsNobody } from './harness.ts'
import { Server } from './server.ts'

/** Cases that the run of `conformance.test.ts` cannot test as root. */
const DENIED = ['sd.stat-denied', 'sd.has-denied', 'au.deny-read', 'au.deny-write', 'au.deny-list', 'ft.no-space']

const server = process.getuid?.() === 0 ? await Server.offer() : 'only root may mount a small disk'

if (typeof server === 'string') it.skip(`conformance of sftp without privileges: ${server}`, () => {})
else {
  afterAll(() => server[Symbol.asyncDispose]())
  const nobody = await harnessAsNobody(server)
  afterAll(() => nobody.close?.())
  const profile = (process.env.CONFORMANCE_PROFILE ?? 'quick') as Profile
  conformance(nobody, { describe, it }, { profile, only: DENIED })
}
