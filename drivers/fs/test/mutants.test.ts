import { killMutants } from '@stored/conformance'
import { afterAll, describe, it } from 'vitest'
import { harness } from './harness.ts'

const made = await harness()
afterAll(() => made.close?.())
killMutants(made, { describe, it })
