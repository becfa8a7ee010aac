import type { Case } from './case.ts'
import { aborts } from './cases/aborts.ts'
import { atomicity } from './cases/atomicity.ts'
import { auth } from './cases/auth.ts'
import { backpressure } from './cases/backpressure.ts'
import { brokenMedium } from './cases/broken-medium.ts'
import { checksums } from './cases/checksums.ts'
import { conditions } from './cases/conditions.ts'
import { copying } from './cases/copying.ts'
import { deletingMany } from './cases/deleting-many.ts'
import { faults } from './cases/faults.ts'
import { honesty } from './cases/honesty.ts'
import { keys } from './cases/keys.ts'
import { lifecycle } from './cases/lifecycle.ts'
import { listing } from './cases/listing.ts'
import { listingPages } from './cases/listing-pages.ts'
import { metadata } from './cases/metadata.ts'
import { ranges } from './cases/ranges.ts'
import { reconnecting } from './cases/reconnecting.ts'
import { resume } from './cases/resume.ts'
import { roundTrip } from './cases/round-trip.ts'
import { sizes } from './cases/sizes.ts'
import { sources } from './cases/sources.ts'
import { statAndDelete } from './cases/stat-delete.ts'
import { sweeping } from './cases/sweeping.ts'
import { traversal } from './cases/traversal.ts'
import { watching } from './cases/watching.ts'

/** Every case in the order of execution: basic ones first, and `cp.proved`, which looks back on all of them, last. */
export const cases: readonly Case[] = Object.freeze([
  ...roundTrip,
  ...sizes,
  ...keys,
  ...traversal,
  ...ranges,
  ...statAndDelete,
  ...listing,
  ...listingPages,
  ...atomicity,
  ...aborts,
  ...sources,
  ...conditions,
  ...resume,
  ...checksums,
  ...copying,
  ...deletingMany,
  ...sweeping,
  ...reconnecting,
  ...metadata,
  ...backpressure,
  ...faults,
  ...brokenMedium,
  ...auth,
  ...watching,
  ...lifecycle,
  ...honesty,
])
