import { PassThrough } from 'node:stream'
import { StorageError } from '@stored/core/backend'
import { describe, expect, it } from 'vitest'
import { Input } from '../command-line/input.ts'
import { appearanceOf } from './appearance.ts'
import { bytes, span } from './format.ts'
import { Output } from './output.ts'
import { type Part, paint } from './painted.ts'
import { Progress, progressLine } from './progress.ts'
import { Table } from './table.ts'

describe('bytes()', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.0 kB'],
    [999_949, '999.9 kB'],
    [999_950, '1.0 MB'],
    [1.5e9, '1.5 GB'],
    [5e15, '5.0 PB'],
  ])('%i is %s', (value, text) => expect(bytes(value)).toBe(text))
})

describe('span()', () => {
  it.each([
    [0, '0 s'],
    [59_400, '59 s'],
    [125_000, '2:05'],
    [3_723_000, '1:02:03'],
  ])('%i ms is %s', (value, text) => expect(span(value)).toBe(text))
})

describe('Table', () => {
  async function lines(rows: number): Promise<string[]> {
    const written: string[] = []
    const write = async (line: Part) => void written.push(typeof line === 'string' ? line : line.text)
    const table = new Table([{ title: 'n', align: 'right' }, { title: 'name' }, { title: 'x' }], write)
    for (let i = 1; i <= rows; i++) await table.row(`${i}`, `name${i}`, '')
    await table.end()
    return written
  }

  it('is as wide as its contents', async () => {
    expect(await lines(10)).toContain(' 1  name1')
    expect((await lines(10))[0]).toBe(' n  name    x')
  })

  it('writes no header without a row', async () => expect(await lines(0)).toEqual([]))

  it('writes every row once, including those added after measuring', async () => {
    const written = await lines(1001)
    expect(written).toHaveLength(1002)
    expect(written.at(-1)).toBe('1001  name1001')
  })
})

describe('progressLine()', () => {
  it('shows the amount done, the total, the speed and the time left', () => {
    const line = progressLine({ title: 'put', done: 3e6, total: 9e6, note: 'a.jpg' }, 2e6, 1000)
    expect(line).toBe('put  3.0 MB of 9.0 MB  2.0 MB/s  ETA 3 s  a.jpg')
  })

  it('leaves out what it does not know', () => {
    expect(progressLine({ title: 'put', done: 0 }, 0, 0)).toBe('put  0 B')
    expect(progressLine({ title: 'put', done: 5, total: 5 }, 5, 1000)).toBe('put  5 B of 5 B  5 B/s')
  })
})

describe('Progress', () => {
  function watched(columns: number) {
    const written: string[] = []
    let now = 0
    const stream = { write: (text: string) => written.push(text) > 0, columns } as never
    const pass = (ms: number) => {
      now += ms
    }
    return { written, progress: new Progress(stream, () => now), pass }
  }

  it('draws at most ten times a second, and never past the end of the line', () => {
    const { written, progress, pass } = watched(20)
    for (let i = 0; i < 100; i++) {
      progress.show({ title: 'put', done: i * 1e6, total: 1e8, note: 'a long name of a file' })
      pass(10)
    }
    expect(written).toHaveLength(10)
    for (const frame of written) expect(frame.replace('\r\x1b[2K', '').length).toBeLessThanOrEqual(20)
  })

  it('clears its line at the end', () => {
    const { written, progress } = watched(80)
    progress.show({ title: 'put', done: 1 })
    progress.end()
    progress.end()
    expect(written.slice(1)).toEqual(['\r\x1b[2K'])
  })

  it('is silent without a terminal', () => {
    expect(() => new Progress(null).show({ title: 'put', done: 1 })).not.toThrow()
  })
})

describe('appearanceOf()', () => {
  const plain = new Input([], {})
  const both = { stdout: true, stderr: true }

  it('a terminal gets colours and progress', () => {
    expect(appearanceOf(plain, both, {})).toEqual({ color: true, progress: true })
  })

  it.each([
    ['NO_COLOR turns colours off', {}, both, { NO_COLOR: '1' }, { color: false, progress: true }],
    ['an empty NO_COLOR does not count', {}, both, { NO_COLOR: '' }, { color: true, progress: true }],
    ['--no-color turns colours off', { 'no-color': true }, both, {}, { color: false, progress: true }],
    ['CI turns the progress line off', {}, both, { CI: 'true' }, { color: true, progress: false }],
    ['--no-progress turns the progress line off', { 'no-progress': true }, both, {}, { color: true, progress: false }],
    ['--quiet turns the progress line off', { quiet: true }, both, {}, { color: true, progress: false }],
    ['a pipe gets no colours', {}, { stdout: false, stderr: true }, {}, { color: false, progress: true }],
    ['a log gets neither', {}, { stdout: false, stderr: false }, {}, { color: false, progress: false }],
  ])('%s', (_, flags, isWatched, env, looks) => {
    expect(appearanceOf(new Input([], flags), isWatched, env)).toEqual(looks)
  })
})

function output(json: boolean, color = false) {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()]
  const options = { json, quiet: false, verbose: true, color, progress: false }
  return { out: new Output({ ...options, stdout, stderr: stderr as never }), stdout, stderr }
}

describe('Output', () => {
  it('escapes painted text too, but keeps its own colours', async () => {
    const { out, stdout } = output(false, true)
    await out.line(paint('31', 'a\u001b[0m'), ' b\u001b[2J')
    expect(String(stdout.read())).toBe('\x1b[31ma\\u001b[0m\x1b[0m b\\u001b[2J\n')
  })

  it('escapes the causes of a failure, of whatever kind, and warnings', async () => {
    const { out, stderr } = output(false)
    await out.fault(new Error('a\u001b[2J', { cause: new Error('b\u009b2J') }), 'c\u202e')
    out.warn(new Error('d\u0007'))
    expect(String(stderr.read())).toBe('stored: c\\u202e: a\\u001b[2J\n  because: b\\u009b2J\nwarning: d\\u0007\n')
  })
})

describe('Output.fault()', () => {
  const gone = (key: string) => new StorageError('NOT_FOUND', { op: 'get', key })
  const url = 'https://github.com/stored/stored/blob/main/docs/errors/NOT_FOUND.md'

  it('points people to the page about a code, once for each code', async () => {
    const { out, stderr } = output(false)
    for (const error of [gone('a'), gone('b'), new Error('other')]) await out.fault(error)
    expect(String(stderr.read())).toBe(
      `stored: get "a": NOT_FOUND\n  see ${url}\nstored: get "b": NOT_FOUND\nstored: other\n`,
    )
  })

  it('gives programs the page each time', async () => {
    const { out, stdout } = output(true)
    await out.fault(gone('a'))
    expect(JSON.parse(String(stdout.read()))).toEqual({
      v: 1,
      type: 'error',
      code: 'NOT_FOUND',
      message: 'get "a": NOT_FOUND',
      url,
    })
  })

  it('has no page for a module that Node.js cannot load', async () => {
    const { out, stderr } = output(false)
    await out.fault(await import(String('./none.ts')).catch((error: unknown) => error))
    expect(String(stderr.read())).not.toContain('see')
  })
})
