// Started by the kit as a process of its own; where the bucket is comes through the environment.
import { runChild } from '@stored/conformance'
import { S3Backend } from '../src/index.ts'

await runChild(async () => new S3Backend(JSON.parse(process.env.STORED_TEST_S3 as string)))
