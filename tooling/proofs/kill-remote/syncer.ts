// Syncs a store until no jobs are left, or until it is killed: node syncer.ts WORK.json
import { readFileSync } from 'node:fs'
import { S3Backend } from '@stored/driver-s3'
import { openStore } from '@stored/node'
import { FAR, type Message, type Work } from './protocol.ts'

const { store: path, backend } = JSON.parse(readFileSync(process.argv[2] as string, 'utf8')) as Work
// Its parent is gone, or needs no more.
process.on('disconnect', () => process.exit(1))
const store = await openStore({ path, backends: { [FAR]: new S3Backend(backend) } })
store.on('sync:retry', ({ key, error }) => tell({ type: 'failed', key, error: error.message }))
process.on('message', async () => tell({ type: 'standing', lines: await standing() }))
await store.synced()
await store.close()
process.exit()

function tell(message: Message): void {
  process.send?.(message)
}

async function standing(): Promise<string[]> {
  const lines: string[] = []
  for (const { name, state, retryAt, jobs, error } of await store.listBackends()) {
    const { waiting, running, parked } = jobs
    const next = retryAt === undefined ? '' : `, to be tried in ${untilTime(retryAt)}`
    lines.push(`${name} is ${state}${next}; ${waiting} wait, ${running} run, ${parked} parked; ${error?.message ?? ''}`)
  }
  for await (const { key, state, attempts, crashes = 0, due, error } of store.jobs())
    lines.push(
      `${key} ${state}, due in ${untilTime(due)}, ${attempts} tries, ${crashes} crashes; ${error?.message ?? ''}`,
    )
  return lines
}

function untilTime(time: number): string {
  return `${((time - Date.now()) / 1000).toFixed(1)} s`
}
