import { StorageError } from '@stored/core/backend'
import { loadConfiguration } from '../configuration.ts'
import type { Context } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { fieldsOf } from '../input.ts'
import type { Outcome } from '../outcome.ts'
import { tryOptions } from '../probe.ts'

export async function run(context: Context): Promise<Outcome> {
  const { input, out, dryRun } = context
  const [name = '', driver = '', ...rest] = input.args
  const options = Object.fromEntries(
    Object.entries(fieldsOf(rest, 'backend add')).map(([option, text]) => [option, readValue(text)]),
  )
  const { file, config } = await loadConfiguration(context)
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
  const { addBackendToFile } = await import('@stored/node/config')
  await addBackendToFile(file, name, { driver, ...options })
  await out.line(`added ${name} to ${file}`)
  out.note('processes that have the store open go on without it until they are started again')
  return { exit: EXIT.ok, summary: { backends: 1 } }
}

/** The file is not touched before the driver has seen its options. */
async function tryWith({ configFile }: Context, name: string, backend: Record<string, unknown>): Promise<void> {
  const { loadConfig } = await import('@stored/node/config')
  const overrides = Object.fromEntries(
    Object.entries(backend).map(([option, value]) => [`backends.${name}.${option}`, value]),
  )
  const { config } = await loadConfig({ file: configFile, overrides })
  const made = config.backends[name]
  if (made) await tryOptions(name, made)
}

function readValue(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
