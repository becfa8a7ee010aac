// Syncs a store until nothing is owed any more, or until it is killed: node syncer.ts WORK.json
import { readFileSync } from 'node:fs'
import { S3Backend } from '@stored/driver-s3'
import { openStore } from '@stored/node'
import { FAR, type Failed, type Work } from './protocol.ts'

const { store: path, backend } = JSON.parse(readFileSync(process.argv[2] as string, 'utf8')) as Work
// Whoever started it is gone, or has heard enough.
process.on('disconnect', () => process.exit(1))
const store = await openStore({ path, backends: { [FAR]: new S3Backend(backend) } })
store.on('sync:retry', ({ key, error }) => process.send?.({ key, error: error.message } satisfies Failed))
await store.synced()
await store.close()
process.exit()
