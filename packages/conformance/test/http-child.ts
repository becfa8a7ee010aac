import { runChild } from '../src/index.ts'
import { HttpBackend } from './http-backend.ts'

await runChild(async () => new HttpBackend(JSON.parse(process.env.STORED_TEST_HTTP ?? '')))
