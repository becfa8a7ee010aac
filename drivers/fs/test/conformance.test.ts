import { conformance, type Profile } from '@stored/conformance'
import { afterAll, describe, it } from 'vitest'
import { harness } from './harness.ts'

const fs = await harness()
conformance(fs, { describe, it }, { profile: (process.env.CONFORMANCE_PROFILE ?? 'quick') as Profile })
afterAll(() => fs.close?.())
