import type { Harness } from '@stored/conformance'
import { AcmeBackend } from '../src/index.ts'

/**
 * How the kit reaches your storage. Each hook that you add enables more cases: `npm run report` lists the missing ones.
 */
export const harness: Harness = {
  name: 'acme',
  // A new instance each time, always on the same storage.
  open: async () => new AcmeBackend({ bucket: 'conformance' }),
  // True only for a Map: remove it together with the Map.
  inProcess: true,
}
