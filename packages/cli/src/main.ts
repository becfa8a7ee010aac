import { Input, type Values } from './command-line/input.ts'
import { inputOf, parseFlags } from './command-line/parse.ts'
import { EXIT, type ExitCode, exitCodeOf } from './errors/exit-codes.ts'
import { describeFault } from './errors/fault.ts'
import { findCommand, helpRequest } from './help/find-command.ts'
import { appearanceOf } from './output/appearance.ts'
import { Output } from './output/output.ts'
import { Interruption } from './session/interruption.ts'
import type { Outcome } from './session/outcome.ts'

/** What is known so far about the running command. */
interface Call {
  out: Output
  name: string
  dryRun: boolean
}

/** Runs one command line. Never rejects. @returns The exit code. */
export async function main(argv: readonly string[]): Promise<ExitCode> {
  const isEmpty = argv.length === 0
  const help = await helpRequest(isEmpty ? ['--help'] : argv)
  if (help !== null) {
    const stream = isEmpty ? process.stderr : process.stdout
    stream.write(help)
    return isEmpty ? EXIT.usage : EXIT.ok
  }
  using interruption = new Interruption()
  // Decides how to report a mistake in the command line before it is parsed.
  const call: Call = { out: outputFor(new Input([], { json: argv.includes('--json') })), name: '', dryRun: false }
  // Node.js would print warnings unescaped. With --no-warnings nothing listens.
  const isWarned = process.listenerCount('warning') > 0
  if (isWarned) process.removeAllListeners('warning').on('warning', (warning) => call.out.warn(warning))
  try {
    return await end(call, await perform(argv, call, interruption.signal))
  } catch (error) {
    return fail(call, error, interruption)
  }
}

async function perform(argv: readonly string[], call: Call, signal: AbortSignal): Promise<Outcome> {
  const { command, rest } = await findCommand(argv)
  call.name = command.name
  const { args, values } = parseFlags(rest, command.flags)
  const input = inputOf(command, args, values)
  call.out = outputFor(input)
  call.dryRun = input.has('dry-run')
  changeDirectory(values)
  const { run } = await command.load()
  return run({ ...call, input, signal, configFile: input.text('config'), yes: input.has('yes') })
}

async function fail(call: Call, error: unknown, { signal, hasNoReader }: Interruption): Promise<ExitCode> {
  if (hasNoReader) return EXIT.general
  const reason: unknown = signal.aborted ? signal.reason : error
  await call.out.fault(reason)
  return end(call, { exit: signal.aborted ? EXIT.interrupted : exitCodeOf(describeFault(reason).code) })
}

async function end({ out, name, dryRun }: Call, { exit, text, summary }: Outcome): Promise<ExitCode> {
  out.progress.end()
  if (text !== undefined) out.note(text)
  await out.record({ type: 'summary', command: name, exit, ...(dryRun && { dryRun }), ...summary })
  return exit
}

function outputFor(input: Input): Output {
  const { stdout, stderr, env } = process
  const [json, quiet, verbose] = [input.has('json'), input.has('quiet'), input.has('verbose')]
  const isWatched = { stdout: stdout.isTTY === true, stderr: stderr.isTTY === true }
  return new Output({ stdout, stderr, json, quiet, verbose, ...appearanceOf(input, isWatched, env) })
}

function changeDirectory({ directory }: Values): void {
  if (typeof directory === 'string') process.chdir(directory)
}
