import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, lchown, mkdir, readdir, symlink } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { emptyPlace, type Place } from './place.ts'
import { isRoot, mayRun, NOBODY, WHY_NOBODY, WHY_ROOT } from './users.ts'

const BIN = fileURLToPath(new URL('../src/bin.ts', import.meta.url))
const STRANGER = 1234

/** A program that leaves a trace, as a driver and as a configuration. */
const EVIL = `
import { writeFileSync } from 'node:fs'
writeFileSync(new URL('ran', import.meta.url), '')
export const driver = () => { throw new Error('ran') }
export const config = { path: '.stored', backends: { a: { driver: 'fs', root: 'a' } } }`
const EVIL_PACKAGE = packageAt('stored-driver-evil')
const configOf = (driver: string) => JSON.stringify({ path: '.stored', backends: { a: { driver, root: 'a' } } })

/** The files of an installed package. */
function packageAt(name: string): Record<string, string> {
  const folder = path.join('node_modules', name)
  return {
    [path.join(folder, 'package.json')]: JSON.stringify({ name, type: 'module', exports: './index.mjs' }),
    [path.join(folder, 'index.mjs')]: EVIL,
  }
}

let at: Place
beforeEach(async () => {
  at = await emptyPlace()
})
afterEach(() => at[Symbol.asyncDispose]())

async function write(files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) await at.file(name, text)
}

/** Whether any code here has run. */
async function ran(): Promise<boolean> {
  return (await readdir(at.path, { recursive: true })).some((name) => path.basename(name) === 'ran')
}

async function handOver(...names: string[]): Promise<void> {
  for (const name of names) await lchown(path.join(at.path, name), STRANGER, STRANGER)
}

/** Hands over everything here. */
async function handOverAll(): Promise<void> {
  await handOver('.', ...(await readdir(at.path, { recursive: true })))
}

async function expectRefused(cwd = '.'): Promise<void> {
  const { code, stderr } = await at.stored('-C', cwd, 'status')
  expect(stderr).toMatch(/PERMISSION_DENIED.*(belongs to user 1234|for everybody to write).*--config.*STORED_CONFIG/)
  expect(code).toBe(6)
  expect(await ran()).toBe(false)
}

describe.skipIf(!isRoot)(`in a directory of another user${WHY_ROOT}`, () => {
  it.each([
    ['a configuration', { 'stored.config.json': configOf('fs') }],
    ['one that is a program', { 'stored.config.mjs': EVIL }],
    ['one in TypeScript', { 'stored.config.ts': EVIL }],
    ['one that names a module', { 'stored.config.json': configOf('./evil.mjs'), 'evil.mjs': EVIL }],
    ['one whose driver is installed there', { 'stored.config.json': configOf('evil'), ...EVIL_PACKAGE }],
  ])('%s is refused: 6, with what to do, and no code of it runs; below it too', async (_, files) => {
    await write(files)
    await mkdir(path.join(at.path, 'below'))
    await handOverAll()
    await expectRefused()
    await expectRefused('below')
  })

  it('a configuration of the user is refused too: the other one can replace it', async () => {
    await at.file('stored.config.json', configOf('fs'))
    await handOver('.')
    await expectRefused()
  })

  it('a configuration that is named is obeyed: by --config, and by STORED_CONFIG', async () => {
    await at.file('stored.config.json', configOf('./evil.mjs'))
    await at.file('evil.mjs', EVIL)
    await handOverAll()
    const named = await at.stored('--config', 'stored.config.json', 'status')
    expect(named.stderr).not.toContain('PERMISSION_DENIED')
    expect(await ran()).toBe(true)
    const env = { STORED_CONFIG: 'stored.config.json' }
    expect((await at.run(['config', 'explain'], { env })).code).toBe(0)
  })

  it('a driver is not loaded that only variables ask for', async () => {
    await write(EVIL_PACKAGE)
    await handOverAll()
    const env = { STORED_PATH: '.stored', STORED_BACKENDS__A__DRIVER: 'evil' }
    expect(await at.run(['backend', 'test', 'a'], { env })).toMatchObject({ code: 6 })
    expect(await ran()).toBe(false)
  })

  it('init refuses a configuration that is there, and makes none that would be refused', async () => {
    await handOverAll()
    expect(await at.stored('init', '--yes')).toMatchObject({ code: 6, stderr: expect.stringContaining('--config') })
    expect(await readdir(at.path)).toEqual([])
    await at.file('stored.config.mjs', EVIL)
    await handOverAll()
    expect(await at.stored('init', '--yes')).toMatchObject({ code: 6 })
    expect(await ran()).toBe(false)
  })

  it('init makes one that is named', async () => {
    await handOverAll()
    expect(await at.stored('init', '--yes', '--config', 'stored.config.json')).toMatchObject({ code: 0 })
    expect(await at.stored('--config', 'stored.config.json', 'status')).toMatchObject({ code: 0 })
  })

  it('the conformance kit is not loaded from there', async () => {
    await write(packageAt('@stored/conformance'))
    await handOverAll()
    expect(await at.stored('conformance', './harness.mjs')).toMatchObject({ code: 6 })
    expect(await ran()).toBe(false)
  })
})

describe.skipIf(!isRoot)(`a configuration of the user${WHY_ROOT}`, () => {
  it.skipIf(!mayRun)(`is obeyed, and one of root by everybody${WHY_NOBODY}`, async () => {
    await write({ 'stored.config.json': configOf('fs') })
    await chmod(at.path, 0o755)
    const explain = () => at.run(['config', 'explain'], { uid: NOBODY })
    expect((await explain()).code).toBe(0)
    for (const name of ['.', 'stored.config.json'])
      await lchown(path.join(at.path, name), NOBODY as number, NOBODY as number)
    expect((await explain()).code).toBe(0)
  })

  it('that another user made a link to is refused', async () => {
    await at.file('real/stored.config.json', configOf('fs'))
    await symlink('real/stored.config.json', path.join(at.path, 'stored.config.json'))
    await handOver('stored.config.json')
    await expectRefused()
  })

  it('that is a link into a directory of another user is refused', async () => {
    await at.file('theirs/stored.config.json', configOf('fs'))
    await symlink('theirs/stored.config.json', path.join(at.path, 'stored.config.json'))
    await handOver('theirs')
    await expectRefused()
  })

  it('does not load a module of another user that it names', async () => {
    await at.file('stored.config.json', configOf('./theirs/evil.mjs'))
    await at.file('theirs/evil.mjs', EVIL)
    await handOver('theirs', 'theirs/evil.mjs')
    await at.file('.stored/index.mdb', 'x')
    await expectRefused()
  })

  it('does not load a driver that another user installed above', async () => {
    await write({ 'mine/stored.config.json': configOf('evil'), 'mine/.stored/index.mdb': 'x', ...EVIL_PACKAGE })
    await handOver(...(await readdir(at.path, { recursive: true })).filter((name) => name.startsWith('node_modules')))
    await expectRefused('mine')
  })

  it('does not load a driver that another user calls the package above by', async () => {
    const manifest = JSON.stringify({ name: 'stored-driver-evil', exports: './evil.mjs' })
    await write({ 'mine/stored.config.json': configOf('evil'), 'mine/.stored/index.mdb': 'x' })
    await write({ 'package.json': manifest, 'evil.mjs': EVIL })
    await handOver('package.json')
    await expectRefused('mine')
  })

  it('may be in a directory that is for everybody, where each keeps what is theirs', async () => {
    await at.file('stored.config.json', configOf('fs'))
    await chmod(at.path, 0o1777)
    expect(await at.stored('config', 'explain')).toMatchObject({ code: 0 })
  })
})

describe.skipIf(process.platform === 'win32')('what everybody may write to', () => {
  it('is refused: a configuration, and a directory that has one', async () => {
    const file = await at.file('stored.config.json', configOf('fs'))
    await chmod(file, 0o666)
    await expectRefused()
    await chmod(file, 0o644)
    await chmod(at.path, 0o777)
    await expectRefused()
  })
})

describe('completion of names of backends', () => {
  it('reads JSON and runs nothing: no driver, and no configuration that is a program', async () => {
    await at.file('stored.config.json', configOf('./evil.mjs'))
    await at.file('evil.mjs', EVIL)
    const env = { STORED_BACKENDS__B__DRIVER: './evil.mjs' }
    expect(await at.run(['completion', 'backends'], { env })).toMatchObject({ code: 0, stdout: 'a\nb\n' })
    await at.file('program/stored.config.mjs', EVIL)
    expect(await at.stored('-C', 'program', 'completion', 'backends')).toMatchObject({ code: 0, stdout: '' })
    expect(await ran()).toBe(false)
  })

  it('leaves out names that are none, which a shell could run', async () => {
    const backends = { '$(touch ran)': {}, '`touch ran`': {}, good: {} }
    await at.file('stored.config.json', JSON.stringify({ backends }))
    expect((await at.stored('completion', 'backends')).stdout).toBe('good\n')
  })

  it.skipIf(!isRoot)(`offers none of a configuration of another user${WHY_ROOT}`, async () => {
    await at.file('stored.config.json', configOf('fs'))
    await handOverAll()
    expect(await at.stored('completion', 'backends')).toMatchObject({ code: 6, stdout: '' })
  })

  it('in bash starts no program that stands in the line, and lies here', async () => {
    const { stdout: script } = await at.stored('completion', 'bash')
    await at.file('script', script)
    await at.file('stored.config.json', configOf('fs'))
    await chmod(await at.file('bin/stored', `#!/bin/sh\nexec "${process.execPath}" "${BIN}" "$@"\n`), 0o755)
    await chmod(await at.file('stored', '#!/bin/sh\ntouch ran\n'), 0o755)
    const line = `source ./script; COMP_WORDS=(./stored queue ls ""); COMP_CWORD=3; _stored; echo "\${COMPREPLY[@]}"`
    const PATH = `${path.join(at.path, 'bin')}:${process.env.PATH}`
    const { stdout } = spawnSync('bash', ['-c', line], { cwd: at.path, encoding: 'utf8', env: { PATH } })
    expect(stdout).toBe('a\n')
    expect(existsSync(path.join(at.path, 'ran'))).toBe(false)
  })
})
