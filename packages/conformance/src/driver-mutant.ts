import type { Capabilities, StorageBackend } from '@stored/core/backend'
import type { Profile } from './case.ts'

/** A fault that any driver can be given, whatever its medium. */
export interface DriverMutant {
  readonly name: string
  /** What is wrong with it. */
  readonly fault: string
  /** The cases that must fail. */
  readonly killedBy: readonly string[]
  /** The smallest profile in which they do. @default 'quick' */
  readonly profile?: Profile
  /** How many entries it lists at a time. @default as many as the driver */
  readonly pageSize?: number
  /** What it declares besides the driver's own capabilities. */
  readonly declares?: Partial<Capabilities>
  /** What it does differently from `driver`. */
  change(driver: StorageBackend): Partial<StorageBackend>
}
