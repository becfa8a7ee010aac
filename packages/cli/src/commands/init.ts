import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { StorageError } from '@stored/core/backend'
import { makeDirectories } from '@stored/core/files'
import type { StoreConfig } from '@stored/node'
import { EXIT } from '../errors/exit-codes.ts'
import { usage } from '../errors/fault.ts'
import { bytes, count } from '../output/format.ts'
import { type LoadedConfig, loadConfiguration } from '../session/configuration.ts'
import type { Context } from '../session/context.ts'
import { openConfigured } from '../session/open-session.ts'
import type { Outcome } from '../session/outcome.ts'
import { hasIndex, stagedIn } from '../session/store-directory.ts'

const FILE = 'stored.config.json'
const NAME = 'local'
const ROOT = 'data'

interface Answers {
  readonly name: string
  readonly root: string
}

export async function run(context: Context): Promise<Outcome> {
  const { input, out, dryRun } = context
  const directory = path.resolve(input.args[0] ?? '.')
  const { findConfigFile } = await import('@stored/node/config')
  const file = path.resolve(
    context.configFile ?? (await ownConfig(directory, findConfigFile)) ?? path.join(directory, FILE),
  )
  const isThere = existsSync(file)
  if (dryRun) return input.has('recover') && isThere ? planRecovery(context, file) : plan(context, file, isThere)
  const made: string[] = []
  if (!isThere) {
    await make(file, await answer(context))
    made.push(file)
  }
  const { config } = await loadAt(file, context).catch(async (error) => {
    if (!isThere) await rm(file, { force: true })
    throw error
  })
  if (input.has('recover')) return recover(context, config)
  const isNew = !(await hasIndex(config.path))
  // If the index was lost, opening the store reports it, even if another command has since made a new one.
  if (isNew || (await stagedIn(config.path)).length > 0) {
    const { openStore } = await import('@stored/node')
    await (await openStore({ ...config, sync: false })).close()
  }
  if (isNew) made.push(config.path)
  for (const one of made) await out.line(`made ${one}`)
  await out.record({ type: 'init', config: file, path: config.path, made })
  return {
    exit: EXIT.ok,
    text: made.length === 0 ? 'everything exists already' : `backends: ${placesOf(config)}`,
    summary: { made: made.length },
  }
}

async function make(file: string, answers: Answers): Promise<void> {
  const { createConfigFile } = await import('@stored/node/config')
  await makeDirectories(path.dirname(file))
  await createConfigFile(file, configOf(answers))
}

function loadAt(file: string, context: Context): Promise<LoadedConfig> {
  return loadConfiguration({ ...context, configFile: file }, { isFound: context.configFile === undefined })
}

async function recover({ out, signal }: Context, config: StoreConfig): Promise<Outcome> {
  const { recoverStore } = await import('@stored/node')
  const sum = { recovered: 0, bytes: 0 }
  for await (const { id, key, size } of recoverStore(config, { signal })) {
    await out.tell({ type: 'recover', id, key, size }, `recovered ${key}`)
    sum.recovered++
    sum.bytes += size
  }
  const text = `${count(sum.recovered, 'blob')}, ${bytes(sum.bytes)}; stored sync --until-idle copies them to ${placesOf(config)}`
  return { exit: EXIT.ok, text, summary: sum }
}

async function planRecovery(context: Context, file: string): Promise<Outcome> {
  const { out } = context
  const loaded = await loadAt(file, context)
  const at = { op: 'recover' }
  const { config } = loaded
  const names = await stagedIn(config.path)
  if (names.length === 0)
    throw new StorageError('NOT_FOUND', at, { detail: 'nothing is staged: there is nothing to recover' })
  if (await isWell(loaded))
    throw new StorageError('ALREADY_EXISTS', at, { detail: 'the store is healthy: there is nothing to recover' })
  for (const name of names)
    await out.tell(
      { type: 'plan', action: 'recover', file: name },
      `would recover ${path.join(config.path, 'staging', name)}`,
    )
  return { exit: EXIT.ok, text: count(names.length, 'staged file'), summary: { files: names.length } }
}

/** A store without an index is not healthy, and opening it would create one. */
async function isWell(loaded: LoadedConfig): Promise<boolean> {
  if (!(await hasIndex(loaded.config.path))) return false
  try {
    await (await openConfigured(loaded, { sync: false })).close()
    return true
  } catch (error) {
    if (StorageError.is(error) && error.code === 'CORRUPT') return false
    throw error
  }
}

/** Where copies go from now on, by directory where there is one. */
function placesOf({ backends }: StoreConfig): string {
  const roots = Object.entries(backends).map(([name, backend]) => [name, (backend as { root?: unknown }).root] as const)
  return roots.map(([name, root]) => (typeof root === 'string' ? `${name} in ${root}` : name)).join(', ')
}

/** A configuration further up belongs to another store. */
async function ownConfig(
  directory: string,
  find: (directory: string) => Promise<string | null>,
): Promise<string | undefined> {
  const found = await find(directory)
  return found !== null && path.dirname(found) === directory ? found : undefined
}

async function plan({ out }: Context, file: string, isThere: boolean): Promise<Outcome> {
  const store = path.join(path.dirname(file), '.stored')
  if (!isThere)
    await out.tell({ type: 'plan', action: 'init', config: file, path: store }, `would create ${file} and ${store}`)
  return { exit: EXIT.ok, ...(isThere && { text: `${file} exists` }), summary: { made: 0 } }
}

async function answer({ yes, out, signal }: Context): Promise<Answers> {
  if (yes) return { name: NAME, root: ROOT }
  if (!process.stdin.isTTY || out.isJson) throw usage('no terminal to ask on: --yes accepts the defaults')
  const { ask } = await import('../output/ask.ts')
  const questions = [
    { text: 'Name of the first backend', otherwise: NAME },
    { text: 'Directory of its files', otherwise: ROOT },
  ]
  const [name = NAME, root = ROOT] = await ask(questions, signal)
  return { name, root }
}

function configOf({ name, root }: Answers): Record<string, unknown> {
  return { path: '.stored', backends: { [name]: { driver: 'fs', root } } }
}
