import type { Harness } from '@stored/conformance'
import { AcmeBackend } from '../src/index.ts'

/** How the kit reaches your storage. Each hook that you add turns more cases on: `npm run report` says which are missing. */
export const harness: Harness = {
  name: 'acme',
  // A new instance each time, always on the same storage.
  open: async () => new AcmeBackend({ bucket: 'conformance' }),
  // True of a Map alone: take it out together with the Map.
  inProcess: true,
}
