import { COMMANDS } from '../commands.ts'
import { bashCompletion } from '../completion/bash.ts'
import { fishCompletion } from '../completion/fish.ts'
import { zshCompletion } from '../completion/zsh.ts'
import { loadConfiguration } from '../configuration.ts'
import type { Context } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { usage } from '../fault.ts'
import type { Outcome } from '../outcome.ts'

/** What `checkBackendName` takes, which is loaded with the whole store. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/
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

/** For the scripts: without opening the store. */
async function printBackends(context: Context): Promise<Outcome> {
  const { config } = await loadConfiguration(context)
  // No backend is called otherwise, and shells take what they are offered for more than a word.
  const names = Object.keys(config.backends).filter((name) => NAME.test(name))
  for (const name of names) await context.out.exact(name)
  return { exit: EXIT.ok, summary: { names } }
}

function isShell(text: string): text is keyof typeof SHELLS {
  return Object.hasOwn(SHELLS, text)
}
