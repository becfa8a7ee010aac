import type { Harness } from '@stored/conformance'
import { cephHarness } from './ceph.ts'

/** The newest Ceph in Debian: 20.2. */
export function harness(): Promise<Harness | string> {
  return cephHarness({ CEPH_SUITE: 'forky' })
}
