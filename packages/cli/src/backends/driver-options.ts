import { fieldsOf } from '../command-line/input.ts'
import { usage } from '../errors/fault.ts'
import type { Output } from '../output/output.ts'
import type { LoadedConfig } from '../session/configuration.ts'
import type { Context } from '../session/context.ts'

/** What `origins` shows instead of a secret. */
const MASK = '•••'
const REFERENCE = /^@(env|file):(.+)$/
const ASK = '@ask'
const INSTEAD = '@env:NAME, @file:PATH or @ask'

/** Driver options as typed on the command line. */
export interface TypedOptions {
  readonly options: Readonly<Record<string, unknown>>
  /** Names of the options that were prompted for, and so are not on the command line. */
  readonly asked: readonly string[]
}

/**
 * Parses options from `name=value`. A value is JSON if it parses, otherwise text; `@env:NAME` and `@file:PATH` refer to
 * a secret, as in a configuration, and `@ask` prompts for it.
 *
 * @throws {Fault} USAGE.
 */
export async function readOptions(texts: readonly string[], context: Context): Promise<TypedOptions> {
  const fields = Object.entries(fieldsOf(texts, 'backend add'))
  const options = Object.fromEntries(fields.map(([name, text]) => [name, readValue(name, text)]))
  const asked = fields.filter(([, text]) => text === ASK).map(([name]) => name)
  const secrets = asked.length === 0 ? [] : await askFor(asked, context)
  for (const [i, name] of asked.entries()) options[name] = secrets[i]
  return { options, asked }
}

function readValue(name: string, text: string): unknown {
  const [, kind, target] = REFERENCE.exec(text) ?? []
  if (kind !== undefined) return { [kind]: target }
  // Do not print the text: it may be a secret.
  if (text.startsWith('@') && text !== ASK)
    throw usage(`${name}: a value that begins with @ must be ${INSTEAD}; write any other as JSON, in double quotes`)
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

async function askFor(names: readonly string[], { out, signal }: Context): Promise<string[]> {
  if (!process.stdin.isTTY || out.isJson)
    throw usage(`cannot ask for ${names.join(', ')} without a terminal: use @env:NAME or @file:PATH instead of @ask`)
  const { askSecrets } = await import('../output/ask.ts')
  const secrets = await askSecrets(names, signal)
  const empty = names.find((_, i) => secrets[i] === '')
  if (empty !== undefined) throw usage(`${empty} was left empty`)
  return secrets
}

/** Warns about secrets of a new backend that were given on the command line. */
export function warnOfExposed(
  out: Output,
  { origins }: LoadedConfig,
  { backend, asked }: { readonly backend: string; readonly asked: readonly string[] },
): void {
  const exposed = new Set<string>()
  for (const { option, value, from, where } of origins) {
    if (from !== 'flag' || !JSON.stringify(value).includes(MASK) || / \((?:env|file) /.test(where)) continue
    const [name = ''] = option.slice(`backends.${backend}.`.length).split(/[.[]/)
    if (!asked.includes(name)) exposed.add(name)
  }
  for (const name of exposed)
    out.note(
      `warning: ${name} is on the command line, where other users (ps) and the shell history can see it; use ${name}=@env:NAME, @file:PATH or @ask instead`,
    )
}
