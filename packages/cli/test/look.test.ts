import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fill, type Place, place } from './place.ts'

const X = 'sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881'
let at: Place

beforeAll(async () => {
  at = await place()
  await fill(at, { 'p/x': 'x', 'p/deep/y': 'yy', z: 'zzz' })
  await at.open(async (store) => {
    await store.pause('b')
    await store.put(Buffer.from('new'), { key: 'new', metadata: { by: 'me' } })
    await store.synced('new', { backends: ['a'] })
  })
})
afterAll(() => at[Symbol.asyncDispose]())

describe('ls', () => {
  it('lists keys in order, a line each', async () => {
    expect(await at.stored('ls')).toEqual({ code: 0, stdout: 'new\np/deep/y\np/x\nz\n', stderr: '' })
    expect((await at.stored('ls', 'p/')).stdout).toBe('p/deep/y\np/x\n')
  })

  it('--json lists records', async () => {
    expect((await at.json('ls', 'p/x')).records).toMatchObject([
      { type: 'entry', key: 'p/x', id: X, size: 1, locations: [{ backend: 'a', synced: true }, { backend: 'b' }] },
      { type: 'summary', entries: 1, bytes: 1 },
    ])
  })

  it('-l adds size, copies, type and id; --tree draws a tree', async () => {
    expect((await at.stored('ls', '-l', 'z')).stdout).toMatch(
      /^ *size .*\n *3 B .* 2\/2 +application\/octet-stream +sha256:\w{12} +z\n$/,
    )
    expect((await at.stored('ls', '--tree')).stdout).toBe('new\np/\n  deep/\n    y\n  x\nz\n')
    expect(await at.stored('ls', '-l', '--tree')).toMatchObject({ code: 2 })
  })

  it('--internal is taken: no key here belongs to a package', async () => {
    expect((await at.stored('ls', '--internal')).stdout).toBe('new\np/deep/y\np/x\nz\n')
  })

  it('--unsynced, --limit and --backend choose', async () => {
    expect((await at.stored('ls', '--unsynced')).stdout).toBe('new\n')
    expect((await at.stored('ls', '--limit', '2')).stdout).toBe('new\np/deep/y\n')
    expect((await at.stored('ls', '--limit', '0')).stdout).toBe('')
    expect(await at.stored('ls', '--limit', 'x')).toMatchObject({ code: 2 })
    expect(await at.stored('ls', '--backend', 'c')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('unknown backend'),
    })
  })

  it('nothing below a prefix: no output, and 0', async () => {
    expect(await at.stored('ls', 'gone')).toEqual({ code: 0, stdout: '', stderr: '' })
  })
})

describe('stat', () => {
  it('shows records by key and by id', async () => {
    const { code, stdout } = await at.stored('stat', 'new', X)
    expect(code).toBe(0)
    for (const part of [/^by +me$/m, /^on b +pending +new$/m, /^size +1 B \(1\)$/m]) expect(stdout).toMatch(part)
  })

  it('shows the version of a key; by an id, that of the key which it is shown as', async () => {
    const version = await at.open(async (store) => (await store.stat('p/x'))?.version)
    const byKey = (await at.stored('stat', 'p/x')).stdout
    expect(byKey).toMatch(new RegExp(`^version +${version}$`, 'm'))
    expect(byKey).not.toContain('as of key')
    const byId = (await at.stored('stat', X)).stdout
    expect(byId).toMatch(new RegExp(`^as of key +p/x$[^]*^version +${version}$`, 'm'))
  })

  it('--json; one of two is not there: 3, none: 4', async () => {
    const { code, records } = await at.json('stat', X, 'gone')
    expect(code).toBe(3)
    expect(records).toMatchObject([
      { type: 'blob', name: X, id: X },
      { type: 'error', code: 'NOT_FOUND' },
      { found: 1 },
    ])
    expect(await at.stored('stat', 'gone')).toMatchObject({ code: 4, stdout: '' })
  })

  it('with an id as `ls -l` shortens it says where to see the whole id', async () => {
    const [short] = /sha256:\w{12}(?!\w)/.exec((await at.stored('ls', '-l', 'z')).stdout) ?? []
    for (const part of [`${short}`, `${short}`.slice('sha256:'.length)])
      expect(await at.stored('stat', part)).toMatchObject({ code: 4, stderr: expect.stringContaining('64 digits') })
    for (const other of [`sha256:${'0'.repeat(64)}`, 'gone', 'p'])
      expect((await at.stored('stat', other)).stderr).not.toContain('64 digits')
  })

  it.each(['stat', 'get', 'rm', 'verify', 'repair', 'whereis'])(
    '%s of what begins like an id and is none says what an id is: 4',
    async (command) => {
      const stderr = expect.stringContaining('64 digits')
      expect(await at.stored(command, 'sha256:zz')).toMatchObject({ code: 4, stderr })
    },
  )

  it('of an id with more than a hundred copies says so, and --copies lists them', async () => {
    await using many = await place()
    const keys = Array.from({ length: 51 }, (_, i) => `k${i}`)
    await fill(many, Object.fromEntries(keys.map((key) => [key, 'x'])))
    const { stdout } = await many.stored('stat', X)
    expect(stdout.match(/^on [ab] /gm)).toHaveLength(100)
    expect(stdout).toMatch(/^and +more copies, of other keys: --copies lists all$/m)
    const all = (await many.stored('stat', X, '--copies')).stdout
    expect(all.match(/^on [ab] +synced {2}k\d+/gm)).toHaveLength(102)
    expect(all).not.toContain('more copies')
    const { records } = await many.json('stat', X, '--copies')
    expect(records[0]).toMatchObject({ type: 'blob', more: true })
    expect(records.filter((record) => record.type === 'copy')).toHaveLength(102)
    expect(records[1]).toMatchObject({ type: 'copy', name: X, id: X, backend: 'a', key: 'k0', state: 'synced' })
  })
})

describe('an unknown backend', () => {
  it.each([
    ['backend', 'show', 'nowhere'],
    ['queue', 'show', 'nowhere'],
    ['queue', 'pause', 'nowhere'],
    ['backend', 'resume', 'nowhere', '-n'],
    ['sync', '--until-idle', '--backend', 'nowhere'],
  ])('%s %s: 2, and the names of the known ones', async (...args) => {
    const stderr = 'stored: unknown backend "nowhere"; known: a, b\n'
    expect(await at.stored(...args)).toEqual({ code: 2, stdout: '', stderr })
  })
})

describe('has', () => {
  it('answers by its exit code', async () => {
    expect(await at.stored('has', 'z', X)).toEqual({ code: 0, stdout: '', stderr: '' })
    expect(await at.stored('has', 'z', 'gone', '-q')).toEqual({ code: 1, stdout: '', stderr: '' })
    expect(await at.stored('has', '/no/key')).toMatchObject({ code: 2 })
  })

  it('--json answers for each', async () => {
    expect((await at.json('has', 'z', 'gone')).records).toMatchObject([
      { type: 'has', name: 'z', found: true },
      { type: 'has', name: 'gone', found: false },
      { type: 'summary', exit: 1, found: 1, missing: 1 },
    ])
  })
})

describe('whereis', () => {
  it('has a column for each backend', async () => {
    expect((await at.stored('whereis', 'new')).stdout).toMatch(/^size +a +b +key\n 3 B +synced +pending +new\n$/)
    expect((await at.stored('whereis', 'p/')).stdout.split('\n')).toHaveLength(4)
  })

  it('--json; no match: 4', async () => {
    expect((await at.json('whereis', X)).records[0]).toMatchObject({
      key: 'p/x',
      id: X,
      copies: { a: 'synced', b: 'synced' },
    })
    expect((await at.stored('whereis')).stdout.split('\n')).toHaveLength(6)
    expect(await at.stored('whereis', 'gone')).toMatchObject({ code: 4 })
  })
})

describe('two keys of the same bytes', () => {
  it('show each its own copies: whereis, ls -l, ls --unsynced, stat, copies, put --json', async () => {
    await using two = await place()
    await fill(two, { one: 'same' })
    await two.open((store) => store.pause('b'))
    await two.file('same', 'same')
    const { records } = await two.json('put', 'same', '--key', 'two')
    expect(records[0]).toMatchObject({ type: 'put', key: 'two', backends: ['a', 'b'] })
    const copiesOf = async (name: string) =>
      (await two.json('whereis', name)).records.flatMap((one) =>
        one.type === 'whereis' ? [[one.key, one.copies]] : [],
      )
    const one = ['one', { a: 'synced', b: 'synced' }]
    const other = ['two', { a: 'synced', b: 'pending' }]
    expect(await copiesOf('one')).toEqual([one])
    expect(await copiesOf('two')).toEqual([other])
    expect(await copiesOf('')).toEqual([one, other])
    const id = records[0]?.type === 'put' ? records[0].id : ''
    expect(await copiesOf(id)).toEqual([one, other])
    expect((await two.stored('ls', '--unsynced')).stdout).toBe('two\n')
    expect((await two.stored('ls', '-l')).stdout).toMatch(/ 2\/2 .* one\n.* 1\/2 .* two\n/)
    expect((await two.stored('stat', 'two')).stdout).not.toMatch(/^on .* one/m)
    expect((await two.json('copies')).records).toMatchObject([{ key: 'two', have: 1, want: 2 }, { type: 'summary' }])
  })
})

describe('status', () => {
  it('shows who syncs, and the pending jobs of each backend', async () => {
    const { code, stdout } = await at.stored('status')
    expect(code).toBe(0)
    expect(stdout).toMatch(/^syncing: nobody\nstaged: +3 B of .*\nbackend .*\na +fs .*\nb +fs +paused +1 .*\n$/)
  })

  it('--json', async () => {
    expect((await at.json('status')).records).toMatchObject([
      { type: 'status', staging: { bytes: 3, count: 1 } },
      { type: 'backend', name: 'a' },
      { type: 'backend', name: 'b', state: 'paused' },
      { type: 'summary', jobs: 1 },
    ])
  })
})

describe('events', () => {
  it('shows the log, starting at --since', async () => {
    const { code, stdout } = await at.stored('events')
    expect(code).toBe(0)
    expect(stdout).toMatch(/^\d+ .* put .* p\/x\n/)
    const { records } = await at.json('events')
    const [before, last] = records.filter(({ type }) => type === 'event').slice(-2)
    expect(last).toMatchObject({ event: { type: 'sync:complete', key: 'new', backend: 'a' } })
    const positionOf = (record: typeof last) => (record?.type === 'event' ? record.event.position : '')
    const { records: since } = await at.json('events', '--since', positionOf(before))
    expect(since).toMatchObject([last, { events: 1, last: positionOf(last) }])
    expect((await at.json('events', '--since', positionOf(last))).records).toMatchObject([
      { events: 0, last: positionOf(last) },
    ])
    expect(await at.stored('events', '--since', 'x')).toMatchObject({ code: 2 })
  })
})

describe('config explain', () => {
  it('shows every option and where it comes from', async () => {
    expect((await at.stored('config', 'explain')).stdout).toMatch(/^path +.*\.stored +stored\.config\.json:1$/m)
    const { records } = await at.json('config', 'explain')
    expect(records).toContainEqual(
      expect.objectContaining({ type: 'option', option: 'prefix', value: 'blobs', from: 'default' }),
    )
  })

  it('variables override the file', async () => {
    const { stdout } = await at.run(['config', 'explain', '--json'], { env: { STORED_PREFIX: 'other' } })
    expect(stdout).toContain('"value":"other","from":"environment"')
  })
})

describe('cache', () => {
  it('stats, evict and clear', async () => {
    expect(await at.stored('cache', 'stats')).toMatchObject({ code: 0, stdout: '0 blobs, 0 B of 0 B\n' })
    expect((await at.json('cache', 'stats')).records[0]).toMatchObject({ type: 'cache', entries: 0, maxSize: 0 })
    expect((await at.json('cache', 'evict', 'p/*')).records).toMatchObject([{ exit: 0, entries: 0 }])
    expect((await at.json('cache', 'clear')).records).toMatchObject([{ exit: 0, entries: 0 }])
    expect((await at.json('cache', 'clear', '-n')).records[0]).toMatchObject({ type: 'plan' })
  })
})

describe('cache evict --dry-run', () => {
  it('lists what would be evicted, and evicts nothing', async () => {
    await using far = await place()
    // Blobs on a local backend are not cached.
    await far.file(
      'far.mjs',
      `import { FsBackend } from ${JSON.stringify(import.meta.resolve('@stored/driver-fs'))}
      class Far extends FsBackend {
        get capabilities() { return { ...super.capabilities, local: undefined } }
      }
      export const driver = (options) => new Far(options)`,
    )
    const config = { path: '.far', cache: {}, backends: { far: { driver: './far.mjs', root: 'far' } } }
    await far.file('stored.config.json', JSON.stringify(config))
    expect(await far.stored('init')).toMatchObject({ code: 0 })
    await far.file('p/x', 'x')
    await far.file('p/yy', 'yy')
    expect(await far.stored('put', '-r', 'p', '--prefix', 'p')).toMatchObject({ code: 0 })
    for (const key of ['p/x', 'p/yy']) await far.stored('cat', key)
    expect((await far.json('cache', 'evict', '*x', '-n')).records).toMatchObject([
      { type: 'plan', action: 'cache evict', id: X, size: 1, keys: ['p/x'] },
      { type: 'summary', dryRun: true, entries: 1, bytes: 1 },
    ])
    expect((await far.json('cache', 'stats')).records[0]).toMatchObject({ entries: 2 })
    expect(await far.stored('cache', 'evict', '*', '-n')).toMatchObject({ stderr: 'would evict 2 blobs, 3 B\n' })
    for (let i = 0; i < 100; i++) await far.file(`p/same/${i}`, 'x')
    expect(await far.stored('put', '-r', 'p/same', '--prefix', 'q')).toMatchObject({ code: 0 })
    const { stdout } = await far.stored('cache', 'evict', `${X}`, '-n')
    expect(stdout).toContain(`, and others, which stored stat ${X} --copies lists`)
    expect((await far.json('cache', 'evict', X, '-n')).records[0]).toMatchObject({ id: X, more: true })
  })
})

describe('-C', () => {
  it('runs as if started there', async () => {
    expect((await at.run(['-C', at.path, 'ls', 'z'], {})).stdout).toBe('z\n')
    expect((await at.stored('ls', 'z', '-C', '.', '--config', 'stored.config.json')).stdout).toBe('z\n')
  })
})
