import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { missingLine, type Step } from './guide.ts'
import { merge, remove } from './merge.ts'

/** Profile full takes minutes. */
const COMMAND_TIMEOUT_MS = 600_000

/** A statement of the guide does not hold. */
export class Broken extends Error {
  /** In the guide. */
  readonly line: number

  constructor(line: number, message: string) {
    super(message)
    this.line = line
  }
}

/** Someone at a terminal who follows the guide. */
export class Reader {
  readonly #tarballs: ReadonlyMap<string, string>
  readonly #scratch: string
  #directory: string
  /** The output of the latest block of commands. */
  #printed = ''

  /**
   * @param scratch For the temporary files of commands.
   * @param tarballs By package name, for packages that no registry has.
   */
  constructor(directory: string, scratch: string, tarballs: ReadonlyMap<string, string>) {
    this.#directory = directory
    this.#scratch = scratch
    this.#tarballs = tarballs
  }

  /** @returns A summary of the step. @throws {Broken} */
  follow(step: Step): string {
    switch (step.kind) {
      case 'run':
      case 'fails':
        return this.#run(step)
      case 'output':
        return this.#expect(step)
      default:
        return this.#change(step, step.kind)
    }
  }

  #change({ line, text, file = '' }: Step, kind: 'write' | 'edit' | 'remove'): string {
    const path = join(this.#directory, file)
    try {
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, changed(kind, path, text))
    } catch (error) {
      throw new Broken(line, `${kind} ${file}: ${(error as Error).message}`)
    }
    return `${kind} ${file}`
  }

  #run({ kind, text, line }: Step): string {
    const commands = linesOf(text)
    this.#printed = ''
    const said = commands.map((command, i) => {
      const { status, output } = this.#execute(command)
      const mustFail = kind === 'fails' && i === commands.length - 1
      if ((status === 0) === mustFail) {
        const what = mustFail ? 'succeeds, and was to fail' : `ends with ${status}`
        throw new Broken(line + i, `\`${command}\` ${what}\n${output}`)
      }
      this.#printed += output
      return command + summary(output)
    })
    return said.join('\n    ')
  }

  #execute(command: string): { status: number | null; output: string } {
    const target = /^cd (\S+)$/.exec(command)?.[1]
    if (target === undefined) {
      this.#useTarballs()
      return shell(this.#directory, command, this.#scratch)
    }
    this.#directory = join(this.#directory, target)
    return { status: existsSync(this.#directory) ? 0 : 1, output: '' }
  }

  #useTarballs(): void {
    const path = join(this.#directory, 'package.json')
    const before = readFileSync(path, 'utf8')
    const after = before.replaceAll(/"([^"]+)": "\^[^"]*"/g, (found, name: string) => {
      const tarball = this.#tarballs.get(name)
      return tarball === undefined ? found : `"${name}": "file:${tarball}"`
    })
    if (after !== before) writeFileSync(path, after)
  }

  #expect({ text, line }: Step): string {
    const missing = missingLine(text, this.#printed)
    if (missing !== null) throw new Broken(line + missing, `this was not printed, but:\n${this.#printed}`)
    return `printed as shown, ${linesOf(text).length} lines`
  }
}

function changed(kind: 'write' | 'edit' | 'remove', path: string, text: string): string {
  if (kind === 'write') return text
  const before = readFileSync(path, 'utf8')
  return kind === 'edit' ? merge(before, text) : remove(before, linesOf(text))
}

function linesOf(text: string): string[] {
  return text.trimEnd().split('\n')
}

/** What the kit proved, if it ran. */
function summary(output: string): string {
  const report = /^\d+\/\d+ proved .*$/m.exec(output)?.[0]
  if (report !== undefined) return `: ${report}`
  const [passed, skipped] = ['pass', 'skipped'].map(
    (word) => new RegExp(`^[ℹ#] ${word} (\\d+)$`, 'm').exec(output)?.[1],
  )
  return passed === undefined ? '' : `: ${passed} proved · ${skipped} skipped`
}

function shell(cwd: string, command: string, TMPDIR: string): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(command, {
    shell: true,
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: COMMAND_TIMEOUT_MS,
    env: { ...process.env, TMPDIR, npm_config_audit: 'false', npm_config_fund: 'false' },
  })
  return { status, output: stdout + stderr }
}
