// Started by the kit as a separate process; the location of the server is passed through the environment.
import { runChild } from '@stored/conformance'
import { SftpBackend, type SftpBackendOptions } from '../src/index.ts'

const options = JSON.parse(process.env.STORED_TEST_SFTP as string) as SftpBackendOptions
await runChild(async () => new SftpBackend(options))
