import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import type { StoreConfig } from '@stored/node'
import { loadConfiguration } from '../configuration.ts'
import type { Context } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { usage } from '../fault.ts'
import type { Outcome } from '../outcome.ts'
import { isStore } from '../session.ts'

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
  const there = context.configFile ?? (await ownConfig(directory, findConfigFile))
  const file = path.resolve(there ?? path.join(directory, FILE))
  if (dryRun) return plan(context, directory, file, there !== undefined)
  const made: string[] = []
  if (there === undefined) {
    const answers = await answer(context)
    await mkdir(directory, { recursive: true })
    const { createConfigFile } = await import('@stored/node/config')
    await createConfigFile(file, configOf(answers))
    made.push(file)
  }
  const { config } = await loadConfiguration({ ...context, configFile: file })
  if (!(await isStore(config.path))) {
    const { openStore } = await import('@stored/node')
    await (await openStore({ ...config, sync: false })).close()
    made.push(config.path)
  }
  for (const one of made) await out.line(`made ${one}`)
  await out.record({ type: 'init', config: file, path: config.path, made })
  return {
    exit: EXIT.ok,
    text: made.length === 0 ? 'all of it is there already' : `backends: ${placesOf(config)}`,
    summary: { made: made.length },
  }
}

/** Where copies go from now on, as far as a directory says it. */
function placesOf({ backends }: StoreConfig): string {
  const roots = Object.entries(backends).map(([name, backend]) => [name, (backend as { root?: unknown }).root] as const)
  return roots.map(([name, root]) => (typeof root === 'string' ? `${name} in ${root}` : name)).join(', ')
}

/** One further up is another store's. */
async function ownConfig(
  directory: string,
  find: (directory: string) => Promise<string | null>,
): Promise<string | undefined> {
  const found = await find(directory)
  return found !== null && path.dirname(found) === directory ? found : undefined
}

async function plan({ out }: Context, directory: string, file: string, isThere: boolean): Promise<Outcome> {
  const store = path.join(directory, '.stored')
  if (!isThere)
    await out.tell({ type: 'plan', action: 'init', config: file, path: store }, `would make ${file} and ${store}`)
  return { exit: EXIT.ok, ...(isThere && { text: `there is ${file}` }), summary: { made: 0 } }
}

async function answer({ yes, out, signal }: Context): Promise<Answers> {
  if (yes) return { name: NAME, root: ROOT }
  if (!process.stdin.isTTY || out.isJson) throw usage('nobody to ask here: --yes takes the defaults')
  const { ask } = await import('../ask.ts')
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
