import type { Harness } from '@stored/conformance'
import { cephHarness } from './ceph.ts'

/** That of Debian 12, which judges no conditions of uploads in parts. */
export function harness(): Promise<Harness | string> {
  return cephHarness({})
}
