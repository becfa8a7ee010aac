import { spawnSync } from 'node:child_process'
import { chmod } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { COMMANDS } from '../src/command-line/command-table.ts'
import { type Place, place } from './place.ts'

const BIN = fileURLToPath(new URL('../src/bin.ts', import.meta.url))

const BASH = `source "$SCRIPT"
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _stored; printf '%s\\n' "\${COMPREPLY[@]}"`

/** Replaced by what zsh itself would offer: it completes only on a terminal. */
const ZSH = `compdef() { :; }
_describe() { print -rl -- \${\${(@P)2}%%:*}; }
compadd() { [[ $1 == -a ]] && print -rl -- \${(P)2} || { shift \${@[(i)--]}; print -rl -- "$@"; }; }
compset() { [[ \${words[CURRENT]} == *=* ]] }
_files() { print -rl -- *(N); }
source "$SCRIPT"
words=("$@"); CURRENT=$#; _stored`

const FISH = `source "$SCRIPT"; complete -C (string join ' ' -- $argv)`

const SHELLS = [
  { shell: 'bash', run: ['-c', BASH, 'bash'] },
  { shell: 'zsh', run: ['-fc', ZSH, 'zsh'] },
  { shell: 'fish', run: ['-N', '-c', FISH] },
] as const

function has(shell: string): boolean {
  return spawnSync(shell, ['-c', 'exit 0']).status === 0
}

let at: Place

beforeAll(async () => {
  at = await place()
  await at.file('some-file', '')
  const command = await at.file('bin/stored', `#!/bin/sh\nexec "${process.execPath}" "${BIN}" "$@"\n`)
  await chmod(command, 0o755)
})
afterAll(() => at[Symbol.asyncDispose]())

describe.each(SHELLS)('completion $shell', ({ shell, run }) => {
  it('prints a script, and with --json a record that holds it', async () => {
    const { code, stdout } = await at.stored('completion', shell)
    expect(code).toBe(0)
    expect((await at.json('completion', shell)).records[0]).toMatchObject({ shell, script: stdout })
  })

  describe.skipIf(!has(shell))(`loaded in ${shell}`, () => {
    /** What is offered for the last of these words. */
    async function offered(...words: string[]): Promise<string[]> {
      const { stdout: script } = await at.stored('completion', shell)
      const SCRIPT = await at.file('script', script)
      const { PATH = '', LD_LIBRARY_PATH = '' } = process.env
      const { stdout, stderr } = spawnSync(shell, [...run, 'stored', ...words], {
        cwd: at.path,
        encoding: 'utf8',
        env: { PATH: `${path.join(at.path, 'bin')}:${PATH}`, HOME: at.path, SCRIPT, LD_LIBRARY_PATH },
      })
      expect(stderr).toBe('')
      const lines = stdout.split('\n').filter((line) => line !== '')
      return lines.map((line) => line.split('\t')[0] as string)
    }

    it('offers every command, and those of a group', async () => {
      const first = new Set(COMMANDS.map(({ name }) => name.split(' ')[0]))
      expect(new Set(await offered(''))).toEqual(first)
      expect((await offered('queue', '')).sort()).toEqual(['cancel', 'ls', 'pause', 'resume', 'retry', 'show'])
    })

    it('offers the flags of a command and the global ones', async () => {
      const flags = await offered('put', '--')
      for (const flag of ['--prefix', '--no-wait', '--json', '--dry-run']) expect(flags).toContain(flag)
      expect(flags).not.toContain('--sample')
    })

    it('offers backend names where one is expected', async () => {
      expect(await offered('backend', 'show', '')).toEqual(['a', 'b'])
      expect(await offered('put', '--backend', '')).toEqual(['a', 'b'])
      expect(await offered('-C', '.', 'queue', 'ls', '')).toEqual(['a', 'b'])
    })

    it('offers ways to give a secret, after the name of an option', async () => {
      const values = await offered('backend', 'add', 'x', 's3', 'secretAccessKey=@')
      expect(values.map((value) => value.replace('secretAccessKey=', '')).sort()).toEqual(['@ask', '@env:', '@file:'])
    })

    it('offers files, and the fixed words that an argument can be', async () => {
      expect(await offered('put', '')).toContain('some-file')
      expect((await offered('cache', 'evict', '')).sort()).toEqual(['oldest', 'oversized'])
      expect((await offered('queue', 'ls', '--state', '')).sort()).toEqual(['parked', 'running', 'waiting'])
    })
  })
})

describe('completion', () => {
  it('for another shell: 2', async () => {
    expect(await at.stored('completion', 'tcsh')).toMatchObject({ code: 2 })
  })
})
