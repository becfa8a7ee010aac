import { conformance, killMutants, type Profile } from '@stored/conformance'
import { afterAll, describe, it } from 'vitest'
import { harnessAsNobody, harnessOf } from './harness.ts'
import { Server } from './server.ts'

const profile = (process.env.CONFORMANCE_PROFILE ?? 'quick') as Profile
/** What the main run cannot try as root. */
const DENIED = ['sd.stat-denied', 'sd.has-denied', 'au.deny-read', 'au.deny-write', 'au.deny-list', 'ft.no-space']

const server = await Server.offer()

if (typeof server === 'string') it.skip(`conformance of sftp: ${server}`, () => {})
else {
  afterAll(() => server[Symbol.asyncDispose]())
  const sftp = await harnessOf(server)
  conformance(sftp, { describe, it }, { profile })
  killMutants(sftp, { describe, it })
  if (process.getuid?.() === 0) {
    const nobody = await harnessAsNobody(server)
    afterAll(() => nobody.close?.())
    conformance(nobody, { describe, it }, { profile, only: DENIED })
  }
}
