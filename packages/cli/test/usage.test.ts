import { describe, expect, it } from 'vitest'
import { COMMANDS } from '../src/command-line/command-table.ts'
import { commandHelp } from '../src/help/help.ts'
import { emptyPlace } from './place.ts'
import { recordsOf } from './run.ts'

const NEEDS_NO_STORE = ['init', 'completion']

describe.concurrent('every command', () => {
  it.each(COMMANDS)('$name with an unknown flag: 2, and a record that says so', async ({ name }) => {
    await using place = await emptyPlace()
    const { code, records } = await place.json(...name.split(' '), '--nope')
    expect(code).toBe(2)
    expect(records).toMatchObject([
      { v: 1, type: 'error', code: 'USAGE', message: "unknown option '--nope'" },
      { v: 1, type: 'summary', command: name, exit: 2 },
    ])
  })

  it.each(COMMANDS.filter(({ name }) => !NEEDS_NO_STORE.includes(name)))(
    '$name without a store: 10',
    async (command) => {
      await using place = await emptyPlace()
      await place.file('some', 'file')
      const args = command.args.filter(({ optional }) => !optional).map(() => 'some')
      const { code, stdout, stderr } = await place.stored(...command.name.split(' '), ...args, '--json')
      expect(code).toBe(10)
      const records = recordsOf({ stdout: command.name === 'cat' ? stderr : stdout })
      expect(records).toMatchObject([
        { type: 'error', code: 'NO_STORE' },
        { type: 'summary', exit: 10 },
      ])
    },
  )
})

describe('stored', () => {
  it('--help, help and -h list the commands', async () => {
    await using place = await emptyPlace()
    for (const args of [['--help'], ['help'], ['-h']]) {
      const { code, stdout } = await place.stored(...args)
      expect(code).toBe(0)
      for (const { name } of COMMANDS) expect(stdout).toContain(`\n  ${name} `)
    }
  })

  it('without arguments lists them too, on stderr: 2', async () => {
    await using place = await emptyPlace()
    const { code, stdout, stderr } = await place.stored()
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toBe((await place.stored('--help')).stdout)
  })

  it('COMMAND --help shows that one, whatever else is wrong with the line', async () => {
    await using place = await emptyPlace()
    const command = COMMANDS.find(({ name }) => name === 'queue ls')
    for (const args of [
      ['queue', 'ls', '--help'],
      ['help', 'queue', 'ls'],
      ['-C', 'nowhere', 'queue', 'ls', '--nope', '-h'],
    ])
      expect(await place.stored(...args)).toEqual({ code: 0, stdout: command && commandHelp(command), stderr: '' })
    expect((await place.stored('queue', '--help')).stdout).toContain('queue retry')
  })

  it('--version names the version', async () => {
    await using place = await emptyPlace()
    expect(await place.stored('--version')).toMatchObject({ code: 0, stdout: 'stored 0.0.0\n' })
  })

  it.each([
    [['putt'], 'did you mean "put"?'],
    [['ls', '--limit', '-x'], '--limit needs a value; if it begins with a dash, write --limit=-…\n'],
    [['get', ''], 'get takes no empty ID|KEY'],
    [['queue'], 'queue what?'],
    [['queue', 'retri'], 'did you mean "retry"?'],
    [['put'], 'put needs SRC'],
    [['status', 'of', 'what'], 'status takes no "of"'],
    [['-C', 'nowhere', 'status'], 'nowhere'],
  ])('%j is refused with a reason', async (args, why) => {
    await using place = await emptyPlace()
    const { code, stdout, stderr } = await place.stored(...args)
    expect([2, 4]).toContain(code)
    expect(stdout).toBe('')
    expect(stderr).toContain(why)
  })

  it('an invalid configuration: 2, naming what is wrong but no value', async () => {
    await using place = await emptyPlace()
    await place.file('stored.config.json', '{ "path": ".stored", "backends": {}, "prefx": "hush" }')
    const { code, stderr } = await place.stored('ls')
    expect(code).toBe(2)
    expect(stderr).toContain('prefx')
    expect(stderr).not.toContain('hush')
  })

  it('a configuration whose store was never made: 10', async () => {
    await using place = await emptyPlace()
    await place.file(
      'stored.config.json',
      '{ "path": ".stored", "backends": { "a": { "driver": "fs", "root": "a" } } }',
    )
    expect(await place.stored('ls')).toMatchObject({ code: 10 })
  })
})
