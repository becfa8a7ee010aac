import { StorageError } from '@stored/core/backend'
import { configuredBackend } from '../backends/configured-backend.ts'
import { EXIT } from '../errors/exit-codes.ts'
import { loadConfiguration } from '../session/configuration.ts'
import type { Context } from '../session/context.ts'
import { openConfigured } from '../session/open-session.ts'
import type { Outcome } from '../session/outcome.ts'

export async function run(context: Context): Promise<Outcome> {
  const { input, out, dryRun } = context
  const name = input.first
  const loaded = await loadConfiguration(context)
  const { file } = loaded
  configuredBackend(loaded, name)
  if (file === null)
    throw new StorageError(
      'UNSUPPORTED',
      { op: 'config' },
      { detail: 'the configuration is not a file: remove the backend where it is defined' },
    )
  await using store = await openConfigured(loaded, { sync: false })
  await store.removeBackend(name, { force: input.has('force'), dryRun })
  if (dryRun) {
    await out.tell({ type: 'plan', action: 'backend rm', backend: name }, `would remove ${name} from ${file}`)
    return { exit: EXIT.ok, summary: { backends: 0 } }
  }
  const { removeBackendFromFile } = await import('@stored/node/config')
  await removeBackendFromFile(file, name)
  await out.line(`removed ${name} from ${file}`)
  out.note(`its copies stay where they are; if you add it again, run stored verify --backend ${name} to count them`)
  out.note('running processes no longer use it; if you add it again, restart them')
  return { exit: EXIT.ok, summary: { backends: 1 } }
}
