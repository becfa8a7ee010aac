import { COMMANDS } from '../command-line/command-table.ts'
import { bashCompletion } from '../completion/bash.ts'
import { fishCompletion } from '../completion/fish.ts'
import { zshCompletion } from '../completion/zsh.ts'
import { EXIT } from '../errors/exit-codes.ts'
import { usage } from '../errors/fault.ts'
import type { Context } from '../session/context.ts'
import type { Outcome } from '../session/outcome.ts'

const SHELLS = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion }

export async function run(context: Context): Promise<Outcome> {
  const { input, out } = context
  const shell = input.first
  if (shell === 'backends') return printBackends(context)
  if (!isShell(shell))
    throw usage(`completions are for ${Object.keys(SHELLS).join(', ')}, not ${JSON.stringify(shell)}`)
  const script = SHELLS[shell](COMMANDS)
  await out.record({ type: 'completion', shell, script })
  for (const line of script.trimEnd().split('\n')) await out.exact(line)
  return { exit: EXIT.ok, summary: {} }
}

/**
 * For the completion scripts. The user has not asked to run anything yet, so no code of a configuration or driver runs.
 */
async function printBackends({ configFile, out }: Context): Promise<Outcome> {
  const { listBackendNames } = await import('@stored/node/config')
  const names = await listBackendNames({ file: configFile })
  for (const name of names) await out.exact(name)
  return { exit: EXIT.ok, summary: { names } }
}

function isShell(text: string): text is keyof typeof SHELLS {
  return Object.hasOwn(SHELLS, text)
}
