import { runChild } from '../src/index.ts'
import { HttpBackend } from './http-backend.ts'
import { ResumingHttpBackend } from './http-resume.ts'

const Backend = process.env.STORED_TEST_RESUME ? ResumingHttpBackend : HttpBackend
await runChild(async () => new Backend(JSON.parse(process.env.STORED_TEST_HTTP ?? '')))
