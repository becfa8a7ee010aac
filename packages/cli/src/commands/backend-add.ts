import type { StoreD } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import { type LoadedConfig, loadConfiguration } from '../configuration.ts'
import type { Context } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { fieldsOf } from '../input.ts'
import type { Outcome } from '../outcome.ts'
import { tryOptions } from '../probe.ts'
import { isStore, openConfigured } from '../session.ts'

export async function run(context: Context): Promise<Outcome> {
  const { input, out, dryRun } = context
  const [name = '', driver = '', ...rest] = input.args
  const options = Object.fromEntries(
    Object.entries(fieldsOf(rest, 'backend add')).map(([option, text]) => [option, readValue(text)]),
  )
  const loaded = await loadConfiguration(context)
  const { file, config } = loaded
  if (file === null)
    throw new StorageError(
      'UNSUPPORTED',
      { op: 'config' },
      { detail: 'the configuration is no file: add it where the rest is' },
    )
  if (config.backends[name] !== undefined)
    throw new StorageError('ALREADY_EXISTS', { op: 'config', backend: name }, { detail: 'there is such a backend' })
  await tryWith(context, name, { driver, ...options })
  if (dryRun) {
    const plan = { action: 'backend add', backend: name, driver, options: Object.keys(options) }
    await out.tell({ type: 'plan', ...plan }, `would add ${name} (${driver}) to ${file}`)
    return { exit: EXIT.ok, summary: { backends: 0 } }
  }
  const notes = await notesFor(name, loaded)
  const { addBackendToFile } = await import('@stored/node/config')
  await addBackendToFile(file, name, { driver, ...options })
  await out.line(`added ${name} to ${file}`)
  for (const note of notes) out.note(note)
  return { exit: EXIT.ok, summary: { backends: 1 } }
}

/** What a new backend does not do by itself. */
async function notesFor(name: string, loaded: LoadedConfig): Promise<string[]> {
  const { path, defaultBackends } = loaded.config
  const notes: string[] = []
  if (defaultBackends && !defaultBackends.includes(name))
    notes.push(`it is no default backend: stored put --backend ${name} brings copies there`)
  if (!(await isStore(path))) return notes
  await using store = await openConfigured(loaded, { sync: false })
  if ((await store.status()).syncing === 'elsewhere')
    notes.push('processes that have the store open go on without it until they are started again')
  if (!defaultBackends && (await hasBlobs(store)))
    notes.push('what was put before is not there: stored copies --fix brings it')
  return notes
}

async function hasBlobs(store: StoreD): Promise<boolean> {
  for await (const _ of store.list({ limit: 1 })) return true
  return false
}

/** The file is not touched before the driver has seen its options, and it is known that no other backend is in its place. */
async function tryWith({ configFile }: Context, name: string, backend: Record<string, unknown>): Promise<void> {
  const { loadConfig, resolveBackends } = await import('@stored/node/config')
  const overrides = Object.fromEntries(
    Object.entries(backend).map(([option, value]) => [`backends.${name}.${option}`, value]),
  )
  const { config } = await loadConfig({ file: configFile, overrides })
  const made = config.backends[name]
  if (made) await tryOptions(name, made)
  await resolveBackends(config)
}

function readValue(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
