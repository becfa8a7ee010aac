// Started by the kit as a separate process; the location of the bucket is passed through the environment.
import { runChild } from '@stored/conformance'
import { S3Backend } from '../src/index.ts'

await runChild(async () => new S3Backend(JSON.parse(process.env.STORED_TEST_S3 as string)))
