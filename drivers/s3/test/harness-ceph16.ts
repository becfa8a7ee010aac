import type { Harness } from '@stored/conformance'
import { cephHarness } from './ceph.ts'

/** Debian 12's Ceph, which does not evaluate conditions of multipart uploads. */
export function harness(): Promise<Harness | string> {
  return cephHarness({})
}
