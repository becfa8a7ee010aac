import type { MemoryPlace, StorageBackend } from '@stored/core/backend'
import type { Profile } from './case.ts'
import type { Harness } from './harness.ts'

/** A driver with one fault that a real one had. The kit is trusted as far as it detects them. */
export interface Mutant {
  readonly name: string
  /** What is wrong with it. */
  readonly fault: string
  /** The cases that must fail. */
  readonly killedBy: readonly string[]
  /** The smallest profile in which they do. @default 'quick' */
  readonly profile?: Profile
  open(place: MemoryPlace): StorageBackend
  /** What else its harness needs. */
  hooks?(place: MemoryPlace): Partial<Harness>
}
