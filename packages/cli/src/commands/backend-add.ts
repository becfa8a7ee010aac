import { checkBackendName, type StoreD } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import { readOptions, warnOfExposed } from '../backends/driver-options.ts'
import { tryOptions } from '../backends/probe.ts'
import { EXIT } from '../errors/exit-codes.ts'
import { type LoadedConfig, loadConfiguration } from '../session/configuration.ts'
import type { Context } from '../session/context.ts'
import { openConfigured } from '../session/open-session.ts'
import type { Outcome } from '../session/outcome.ts'
import { isStore } from '../session/store-directory.ts'

export async function run(context: Context): Promise<Outcome> {
  const { input, out, dryRun } = context
  const [name = '', driver = '', ...rest] = input.args
  const loaded = await loadConfiguration(context)
  const { file, config } = loaded
  if (file === null)
    throw new StorageError(
      'UNSUPPORTED',
      { op: 'config' },
      { detail: 'the configuration is not a file: add the backend where the others are defined' },
    )
  checkBackendName(name, { op: 'config' })
  if (Object.hasOwn(config.backends, name))
    throw new StorageError(
      'ALREADY_EXISTS',
      { op: 'config', backend: name },
      { detail: 'a backend of that name already exists' },
    )
  const { options, asked } = await readOptions(rest, context)
  await tryWith(context, { name, config: { driver, ...options }, asked })
  if (dryRun) {
    const plan = { action: 'backend add', backend: name, driver, options: Object.keys(options) }
    await out.tell({ type: 'plan', ...plan }, `would add ${name} (${driver}) to ${file}`)
    return { exit: EXIT.ok, summary: { backends: 0 } }
  }
  const notes = await notesFor(name, loaded)
  const { addBackendToFile } = await import('@stored/node/config')
  await addBackendToFile(file, name, { driver, ...options }, { cwd: process.cwd() })
  await out.line(`added ${name} to ${file}`)
  for (const note of notes) out.note(note)
  return { exit: EXIT.ok, summary: { backends: 1 } }
}

/** What adding a backend does not do by itself. */
async function notesFor(name: string, loaded: LoadedConfig): Promise<string[]> {
  const { path, defaultBackends } = loaded.config
  const notes: string[] = []
  if (defaultBackends && !defaultBackends.includes(name))
    notes.push(`it is not a default backend: stored put --backend ${name} stores copies there`)
  if (!(await isStore(path))) return notes
  await using store = await openConfigured(loaded, { sync: false })
  if ((await store.status()).syncing === 'elsewhere')
    notes.push('running processes do not use it until they are restarted')
  if (!defaultBackends && (await hasBlobs(store)))
    notes.push('existing blobs are not there: stored copies --fix copies them')
  return notes
}

async function hasBlobs(store: StoreD): Promise<boolean> {
  for await (const _ of store.list({ limit: 1 })) return true
  return false
}

interface NewBackend {
  readonly name: string
  readonly config: Readonly<Record<string, unknown>>
  /** Options that were prompted for. */
  readonly asked: readonly string[]
}

/** Writes nothing until the driver has accepted the options and no other backend occupies the same place. */
async function tryWith({ configFile, out }: Context, { name, config, asked }: NewBackend): Promise<void> {
  const { loadConfig, resolveBackends } = await import('@stored/node/config')
  const loaded = await loadConfig({ file: configFile, overrides: { [`backends.${name}`]: config } })
  warnOfExposed(out, loaded, { backend: name, asked })
  const made = loaded.config.backends[name]
  if (made) await tryOptions(name, made)
  await resolveBackends(loaded.config)
}
