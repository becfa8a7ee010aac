// Started by the kit as a separate process; the root is passed through the environment.
import { runChild } from '@stored/conformance'
import { FsBackend } from '../src/index.ts'

await runChild(async () => new FsBackend({ root: process.env.STORED_TEST_ROOT as string }))
