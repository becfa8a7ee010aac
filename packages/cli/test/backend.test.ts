import { cp, readdir, readFile, rename, rm, symlink } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { emptyPlace, fill, type Place, place } from './place.ts'

/** Adds a backend that does not work. */
async function withBroken(at: Place): Promise<void> {
  const file = path.join(at.path, 'stored.config.json')
  const config = JSON.parse(await readFile(file, 'utf8'))
  await at.file('occupied', 'a file')
  config.backends.broken = { driver: 'fs', root: 'occupied' }
  await at.file('stored.config.json', JSON.stringify(config))
}

describe.concurrent('init', () => {
  it('without a terminal: 2, and creates nothing', async () => {
    await using at = await emptyPlace()
    expect(await at.stored('init')).toMatchObject({ code: 2, stderr: expect.stringContaining('--yes') })
    expect(await readdir(at.path)).toEqual([])
  })

  it('--yes creates both, a second run creates nothing, and -n only says so', async () => {
    await using at = await emptyPlace()
    expect((await at.json('init', 'dir', '-n')).records[0]).toMatchObject({ type: 'plan', action: 'init' })
    expect(await readdir(at.path)).toEqual([])
    const dir = path.join(at.path, 'dir')
    const made = [path.join(dir, 'stored.config.json'), path.join(dir, '.stored')]
    expect((await at.json('init', 'dir', '--yes')).records).toMatchObject([
      { type: 'init', config: made[0], path: made[1], made },
      { type: 'summary', exit: 0, made: 2 },
    ])
    expect((await at.json('init', 'dir', '--yes')).records.at(-1)).toMatchObject({ made: 0 })
  })

  it('creates the store of an existing configuration', async () => {
    await using at = await emptyPlace()
    await at.file('stored.config.json', '{ "path": "st", "backends": { "x": { "driver": "fs", "root": "x" } } }')
    expect(await at.stored('init')).toMatchObject({ code: 0 })
    expect((await at.stored('backend', 'ls')).stdout).toMatch(/^backend .*\nx +fs +key +idle\n$/)
  })
})

describe.concurrent('one medium under two names', () => {
  it.each([
    ['the same root', 'root=./a'],
    ['a link to it', 'root=./link'],
    ['a root inside it', 'root=./a/b/c'],
    ['the directory of the store', 'root=./.stored'],
    ['a directory in that', 'root=./.stored/data'],
  ])('backend add refuses %s, and leaves the file as it was', async (_, root) => {
    await using at = await place()
    await symlink('a', path.join(at.path, 'link'))
    const file = path.join(at.path, 'stored.config.json')
    const before = await readFile(file, 'utf8')
    for (const args of [[], ['-n']]) {
      const { code, stderr } = await at.stored('backend', 'add', 'twin', 'fs', root, ...args)
      expect(code).toBe(1)
      expect(stderr).toMatch(/MISCONFIGURED.*"twin"/)
      if (!root.startsWith('root=./.stored')) expect(stderr).toContain('"a"')
    }
    expect(await readFile(file, 'utf8')).toBe(before)
  })

  it.each([
    [['rot=b'], 'unknown option "rot"; did you mean "root"?'],
    [[], 'option "root" is missing: it must be the path of a directory'],
  ])('backend add with %j names the place of the mistake once', async (options, detail) => {
    await using at = await place()
    const { code, stderr } = await at.stored('backend', 'add', 'c', 'fs', ...options)
    expect(code).toBe(2)
    expect(stderr.split('\n')[0]).toBe(`stored: c open: INVALID_ARGUMENT: --backends.c: ${detail}`)
  })

  it('doctor names both', async () => {
    await using at = await place()
    const backends = { a: { driver: 'fs', root: 'a' }, b: { driver: 'fs', root: 'a/b' } }
    await at.file('stored.config.json', JSON.stringify({ path: '.stored', backends }))
    const { code, stdout } = await at.stored('doctor')
    expect(code).not.toBe(0)
    expect(stdout).toMatch(/^failed +store: .*"b" lies inside backend "a"/m)
  })

  it.each([
    ['among the blobs of a backend', 'a/st'],
    ['below its .stored', 'a/.stored/st'],
    ['around it', '.'],
  ])('doctor reports, before the store exists, that it would lie %s', async (_, store) => {
    await using at = await emptyPlace()
    await at.file(
      'stored.config.json',
      JSON.stringify({ path: store, backends: { a: { driver: 'fs', root: 'a' } }, cache: false }),
    )
    const { code, stdout } = await at.stored('doctor')
    expect(code).toBe(1)
    expect(stdout).toMatch(/^failed +store: .*"a" and the directory of the store/m)
  })

  it('doctor names both if only the mark shows it', async () => {
    await using at = await place()
    await fill(at, { x: 'x' })
    await rm(path.join(at.path, 'b'), { recursive: true })
    await cp(path.join(at.path, 'a'), path.join(at.path, 'b'), { recursive: true })
    const backends = { a: { driver: 'fs', root: 'a' }, c: { driver: 'fs', root: 'b' } }
    await at.file('stored.config.json', JSON.stringify({ path: '.stored', backends }))
    const { code, stdout } = await at.stored('doctor')
    expect(code).not.toBe(0)
    expect(stdout).toMatch(/^ok +backend a:/m)
    expect(stdout).toMatch(/^failed +backend c: .*"c" carries the same mark as backend "a"/m)
  })
})

describe.concurrent('backend', () => {
  it('add writes what the driver accepts, as JSON where it parses', async () => {
    await using at = await place()
    expect(await at.stored('backend', 'add', 'c', 'fs', 'root=./c', 'fsync=false', 'layout=id')).toMatchObject({
      code: 0,
    })
    const config = JSON.parse(await readFile(path.join(at.path, 'stored.config.json'), 'utf8'))
    expect(config.backends.c).toEqual({ driver: 'fs', root: './c', fsync: false, layout: 'id' })
    expect((await at.json('backend', 'ls')).records).toMatchObject([
      { name: 'a' },
      { name: 'b' },
      { name: 'c', layout: 'id' },
      { backends: 3 },
    ])
  })

  it('add leaves the file alone if the driver refuses or is missing, and with -n', async () => {
    await using at = await place()
    const before = await readFile(path.join(at.path, 'stored.config.json'), 'utf8')
    expect(await at.stored('backend', 'add', 'c', 'fs', 'rot=./c')).toMatchObject({ code: 2 })
    expect(await at.stored('backend', 'add', 'c', 'nonsense')).toMatchObject({ code: 1 })
    expect(await at.stored('backend', 'add', 'a', 'fs', 'root=c')).toMatchObject({ code: 7 })
    expect(await at.stored('backend', 'add', 'c', 'fs', 'root')).toMatchObject({ code: 2 })
    expect((await at.json('backend', 'add', 'c', 'fs', 'root=c', '-n')).records[0]).toMatchObject({ type: 'plan' })
    expect(await readFile(path.join(at.path, 'stored.config.json'), 'utf8')).toBe(before)
  })

  it('show lists the capabilities', async () => {
    await using at = await place()
    expect((await at.stored('backend', 'show', 'a')).stdout).toMatch(/^ifAbsent +true$/m)
    expect((await at.json('backend', 'show', 'a')).records[0]).toMatchObject({
      driver: 'fs',
      capabilities: { local: true },
    })
    for (const command of ['show', 'test', 'rm', 'pause', 'resume'])
      expect(await at.stored('backend', command, 'c'), command).toMatchObject({ code: 2 })
  })

  it('test uses it and leaves nothing behind', async () => {
    await using at = await place()
    expect(await at.stored('backend', 'test', 'a')).toMatchObject({ code: 0 })
    expect(await readdir(path.join(at.path, 'a'))).toEqual(['.stored'])
    const [probe] = (await at.json('backend', 'test', 'a')).records
    expect(probe).toMatchObject({
      type: 'probe',
      driver: 'fs',
      clockDriftMs: expect.any(Number),
      capabilities: { range: true },
    })
    expect(Object.keys((probe as { steps: object }).steps)).toEqual(['connect', 'write', 'read', 'list', 'delete'])
    expect((await at.stored('backend', 'test', 'a')).stdout).toMatch(/^a +ms\nconnect [\s\S]*^clock +agrees\n/m)
    expect((await at.json('backend', 'test', 'a', '-n')).records[0]).toMatchObject({ type: 'plan' })
  })

  it('test of a broken backend fails at once with its error', async () => {
    await using at = await place()
    await withBroken(at)
    const { code, records } = await at.json('backend', 'test', 'broken')
    expect(code).not.toBe(0)
    expect(records).toMatchObject([{ type: 'error' }, { type: 'summary', exit: code }])
  })

  it('test of an unplugged disk fails with the error of the store, and creates nothing in its place', async () => {
    await using at = await place()
    await fill(at, { x: 'x' })
    await rename(path.join(at.path, 'a'), path.join(at.path, 'away'))
    const { code, records } = await at.json('backend', 'test', 'a')
    expect(code).toBe(5)
    expect(records).toMatchObject([{ type: 'error', code: 'UNAVAILABLE' }, { exit: 5 }])
    expect(await readdir(at.path)).not.toContain('a')
    await rename(path.join(at.path, 'away'), path.join(at.path, 'a'))
    expect((await at.stored('get', 'x', '--output', '-')).stdout).toBe('x')
  })

  it('put with a broken backend among others stores the blob, and fails with the error of that backend', async () => {
    await using at = await place()
    await withBroken(at)
    await at.file('x', 'x')
    const { code, records } = await at.json('put', 'x')
    expect(code).toBe(1)
    expect(records).toMatchObject([
      { type: 'put' },
      { type: 'error', code: 'MISCONFIGURED', subject: 'broken' },
      { done: 1 },
    ])
    expect((await at.json('whereis', 'x')).records[0]).toMatchObject({ copies: { a: 'synced', broken: 'pending' } })
    await at.file('y', 'y')
    expect(await at.stored('put', 'y', '--backend', 'a')).toMatchObject({ code: 0, stderr: '' })
  })

  it('rm forgets it, but refuses if it holds the only copy of a blob: 7, unless --force', async () => {
    await using at = await place()
    await fill(at, { x: 'x' })
    expect((await at.json('backend', 'rm', 'b', '-n')).records[0]).toMatchObject({ type: 'plan' })
    expect(await at.stored('backend', 'rm', 'b')).toMatchObject({ code: 0 })
    expect(await readFile(path.join(at.path, 'b/x'), 'utf8')).toBe('x')
    expect(await at.stored('backend', 'rm', 'a', '-n')).toMatchObject({ code: 7, stdout: '' })
    expect(await at.stored('backend', 'rm', 'a')).toMatchObject({ code: 7 })
    expect((await at.json('backend', 'rm', 'a', '-n', '--force')).records[0]).toMatchObject({ type: 'plan' })
    expect(await at.stored('backend', 'rm', 'a', '--force')).toMatchObject({ code: 0 })
    expect((await at.json('backend', 'ls')).records).toMatchObject([{ backends: 0 }])
  })

  it('rm, then add over an empty folder: its copies count again where copies --fix finds them, and --fix makes the others', async () => {
    await using at = await place()
    await fill(at, { x: 'x', y: 'y' })
    expect(await at.stored('backend', 'rm', 'b')).toMatchObject({ code: 0 })
    await rm(path.join(at.path, 'b'), { recursive: true })
    await at.file('b/y', 'y')
    expect(await at.stored('backend', 'add', 'b', 'fs', 'root=b')).toMatchObject({ code: 0 })
    const states = async () =>
      (await at.json('whereis')).records.slice(0, -1).map((one) => 'copies' in one && one.copies)
    expect(await states()).toEqual([
      { a: 'synced', b: 'unknown' },
      { a: 'synced', b: 'unknown' },
    ])
    expect((await at.json('copies', '--fix')).records.filter(({ type }) => type === 'repair')).toMatchObject([
      { name: 'x', copies: [{ backend: 'b', was: 'unknown', outcome: 'owed' }] },
      { name: 'y', copies: [{ backend: 'b', was: 'unknown', outcome: 'whole' }] },
    ])
    expect(await states()).toEqual([
      { a: 'synced', b: 'synced' },
      { a: 'synced', b: 'synced' },
    ])
    expect(await readFile(path.join(at.path, 'b/x'), 'utf8')).toBe('x')
  })
})

describe.concurrent('doctor', () => {
  it('healthy: 0', async () => {
    await using at = await place()
    const { code, records } = await at.json('doctor')
    expect(code).toBe(0)
    expect(records).toContainEqual({
      v: 1,
      type: 'check',
      check: 'backend b',
      result: 'ok',
      message: expect.any(String),
    })
    expect(records.at(-1)).toMatchObject({ warning: 0, failed: 0 })
  })

  it('a disk with less free than puts must leave: 1, and what the ballast lacks; status says so too', async () => {
    await using at = await place()
    expect((await at.stored('doctor')).stdout).toMatch(/^ok +disk: .* free$/m)
    const backends = { a: { driver: 'fs', root: 'a' }, b: { driver: 'fs', root: 'b' } }
    await at.file('stored.config.json', JSON.stringify({ path: '.stored', backends, reserve: 2 ** 52 }))
    await rm(path.join(at.path, '.stored/ballast'), { force: true })
    const short = 'puts are refused: .* free, and 4.5 PB are reserved .*the ballast.* lacks 16.8 MB'
    const { code, stdout } = await at.stored('doctor')
    expect(stdout).toMatch(new RegExp(`^failed +disk: ${short}$`, 'm'))
    expect(code).toBe(1)
    expect((await at.stored('status')).stdout).toMatch(new RegExp(`^disk: +${short}$`, 'm'))
    expect((await at.json('status')).records[0]).toMatchObject({ disk: { reserve: 2 ** 52 } })
  })

  it('an unplugged disk: 1, and nothing is created in its place', async () => {
    await using at = await place()
    await fill(at, { x: 'x' })
    await rename(path.join(at.path, 'a'), path.join(at.path, 'away'))
    const { code, stdout } = await at.stored('doctor')
    expect(code).toBe(1)
    expect(stdout).toMatch(/^failed +backend a: .*UNAVAILABLE/m)
    expect(await readdir(at.path)).not.toContain('a')
  })

  it('a store with a damaged index: 8, and its backends are left alone, since only the store knows their media', async () => {
    await using at = await place()
    await rename(path.join(at.path, 'a'), path.join(at.path, 'away'))
    await at.file('.stored/index.mdb', 'damaged')
    const { code, stdout } = await at.stored('doctor')
    expect(code).toBe(8)
    expect(stdout).toMatch(/^failed +store: /m)
    expect(stdout).toMatch(/^warning +backend a: not tested/m)
    expect(await readdir(at.path)).not.toContain('a')
  })

  it('a broken backend: 1, naming it; a parked job is a warning', async () => {
    await using at = await place()
    await withBroken(at)
    await at.file('a/x', 'a stranger')
    await at.file('x', 'ours')
    await at.stored('put', 'x', '--backend', 'a')
    const { code, stdout } = await at.stored('doctor')
    expect(code).toBe(1)
    expect(stdout).toMatch(/^warning +parked jobs: 1 job/m)
    expect(stdout).toMatch(/^failed +backend broken: /m)
    expect(stdout).toMatch(/^ok +backend a: /m)
  })
})

describe.concurrent('a backend named like a property of Object', () => {
  it.each(['constructor', 'toString'])('%s is added, shown, tried and removed like any other', async (name) => {
    await using at = await place()
    await at.file('x', 'x')
    expect(await at.stored('backend', 'show', name)).toMatchObject({ code: 2 })
    expect(await at.stored('backend', 'add', name, 'fs', 'root=there', '--yes')).toMatchObject({ code: 0 })
    expect((await at.json('backend', 'ls')).records).toContainEqual(
      expect.objectContaining({ name, jobs: expect.objectContaining({ waiting: 0 }) }),
    )
    expect(await at.stored('doctor')).toMatchObject({ code: 0 })
    expect(await at.stored('put', 'x', '--backend', name)).toMatchObject({ code: 0 })
    expect((await at.json('whereis', 'x')).records[0]).toMatchObject({ copies: { [name]: 'synced' } })
    expect(await at.stored('backend', 'rm', name, '--force')).toMatchObject({ code: 0 })
  })

  it('__proto__ is refused by its name, in a command and in a file', async () => {
    await using at = await place()
    const refused = { code: 2, stderr: expect.stringContaining('"__proto__" is not a backend name') }
    expect(await at.stored('backend', 'add', '__proto__', 'fs', 'root=x', '--yes')).toMatchObject(refused)
    await at.file('stored.config.json', '{ "path": "s", "backends": { "__proto__": { "driver": "fs", "root": "x" } } }')
    expect(await at.stored('status')).toMatchObject(refused)
  })
})
