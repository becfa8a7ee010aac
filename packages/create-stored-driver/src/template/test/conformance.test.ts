import { conformance } from '@stored/conformance'
import { harness } from './harness.ts'

conformance(harness)
