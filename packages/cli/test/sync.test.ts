import { once } from 'node:events'
import { rename } from 'node:fs/promises'
import path from 'node:path'
import { createInterface } from 'node:readline'
import type { StoreD } from '@stored/core'
import { describe, expect, it } from 'vitest'
import { Input } from '../src/command-line/input.ts'
import { syncUntilIdle } from '../src/commands/sync.ts'
import { Output } from '../src/output/output.ts'
import { fill, place } from './place.ts'
import { ended, type Running } from './run.ts'

/** Resolves when this has appeared on stderr. Later output is not read. */
function says(child: Running, what: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = ''
    child.stderr.on('data', (chunk) => {
      said += chunk
      if (said.includes(what)) resolve()
    })
    child.once('exit', () => reject(new Error(`it ended without saying ${what}: ${said}`)))
  })
}

/** The same store, but it delivers events as late as it may: just before it is closed. */
function tellingLate(store: StoreD): StoreD {
  const told: (() => void)[] = []
  const late: Pick<StoreD, 'on' | 'close'> = {
    on: (type, listener) => store.on(type, (event) => void told.push(() => listener(event))),
    async close() {
      await store.close()
      for (const tell of told) tell()
    },
  }
  return new Proxy(store, {
    get(target, name) {
      const value: unknown = Reflect.get(name in late ? late : target, name)
      return typeof value === 'function' ? value.bind(name in late ? late : target) : value
    },
  })
}

async function interrupt(child: Running, signal: NodeJS.Signals): Promise<number | null> {
  const exited = once(child, 'exit')
  child.kill(signal)
  const [code] = await exited
  return code
}

describe.concurrent('sync', () => {
  it('--until-idle runs the pending jobs, and says how many', async () => {
    await using at = await place()
    await at.file('x', 'x')
    await at.stored('put', 'x', '--no-wait')
    expect((await at.json('sync', '-n')).records).toMatchObject([
      { type: 'plan', action: 'put', key: 'x' },
      { type: 'plan', action: 'put', key: 'x' },
      { type: 'summary', jobs: 2 },
    ])
    expect((await at.json('sync', '--until-idle', '--backend', 'a')).records).toMatchObject([{ exit: 0 }])
    expect(await at.stored('sync', '--until-idle')).toMatchObject({ code: 0 })
    expect((await at.json('whereis', 'x')).records[0]).toMatchObject({ copies: { a: 'synced', b: 'synced' } })
  })

  it('leaves jobs of a backend that is no longer configured; sync, status and doctor say so', async () => {
    await using at = await place()
    await at.file('x', 'x')
    await at.stored('queue', 'pause', 'b')
    await at.stored('put', 'x')
    await at.stored('backend', 'rm', 'b', '--force')
    const told = expect.stringContaining('b is not configured: 1 job left until it is')
    const { code, stderr } = await at.stored('sync', '--until-idle')
    expect({ code, stderr }).toEqual({ code: 0, stderr: told })
    expect(stderr).not.toContain('no jobs are left')
    expect(await at.stored('status')).toMatchObject({ code: 0, stderr: told })
    expect((await at.json('status')).records[0]).toMatchObject({ detached: { b: { waiting: 1, parked: 0 } } })
    expect((await at.stored('doctor')).stdout).toContain('not configured: b: jobs wait there')
  })

  it('says once that no jobs are left and that it waits: at the start, or after the pending jobs', async () => {
    await using at = await place()
    await at.file('x', 'x')
    const idle = at.start('sync', '-v')
    const afterIdle = ended(idle)
    await says(idle, 'no jobs are left; waiting for new ones')
    const brought = says(idle, 'put x on b')
    await at.stored('put', 'x', '--no-wait')
    await brought
    idle.kill('SIGINT')
    expect((await afterIdle).stderr.split('no jobs are left')).toHaveLength(2)

    await at.stored('put', 'x', '--key', 'y', '--no-wait')
    const busy = at.start('sync', '-v')
    const afterBusy = ended(busy)
    await says(busy, 'no jobs are left; waiting for new ones')
    busy.kill('SIGINT')
    expect((await afterBusy).stderr).toMatch(/put y on [\s\S]*no jobs are left/)
  })

  it('says that parked jobs are left when no others are', async () => {
    await using at = await place()
    await at.file('a/x', 'a stranger')
    await at.file('x', 'ours')
    await at.stored('put', 'x', '--backend', 'a')
    const child = at.start('sync')
    await says(child, 'no jobs are left, except 1 parked job: stored queue ls --state parked; waiting')
    await interrupt(child, 'SIGINT')
  })

  it('status and doctor name the command that runs the remaining jobs and exits', async () => {
    await using at = await place()
    await at.file('x', 'x')
    await at.stored('put', 'x', '--no-wait')
    expect((await at.stored('status')).stderr).toBe('2 jobs left; stored sync --until-idle runs them\n')
    expect((await at.stored('doctor')).stdout).toContain('no process syncs: stored sync --until-idle')
  })

  it('--backend alone, or an unknown one: 2', async () => {
    await using at = await place()
    expect(await at.stored('sync', '--backend', 'a')).toMatchObject({ code: 2 })
    expect(await at.stored('sync', '--until-idle', '--backend', 'c')).toMatchObject({ code: 2 })
  })

  it('while it runs, put ends when its copies are made, a second sync is locked out: 11, and SIGINT ends it: 130', async () => {
    await using at = await place()
    const daemon = at.start('sync')
    await says(daemon, 'syncing;')
    await at.file('x', 'x')
    expect(await at.stored('put', 'x')).toMatchObject({ code: 0 })
    const beside = await at.stored('sync', '--until-idle')
    expect(beside.stderr).toBe('another process syncs this store, no jobs are left\n')
    expect(beside.code).toBe(0)
    expect((await at.json('whereis', 'x')).records[0]).toMatchObject({ copies: { a: 'synced', b: 'synced' } })
    expect((await at.json('status')).records[0]).toMatchObject({ syncing: 'elsewhere' })
    expect(await at.stored('sync')).toMatchObject({ code: 11 })
    expect(await interrupt(daemon, 'SIGINT')).toBe(130)
    expect((await at.json('status')).records[0]).toMatchObject({ syncing: 'nowhere' })
  })

  it('an unreachable backend: 5, and its jobs stay; once it is back, --until-idle tries them at once', async () => {
    await using at = await place()
    await fill(at, { x: 'x' })
    await rename(path.join(at.path, 'b'), path.join(at.path, 'away'))
    await at.file('y', 'y')
    const { code, records } = await at.json('put', 'y')
    expect(code).toBe(5)
    expect(records).toMatchObject([{ type: 'put' }, { type: 'error', code: 'UNAVAILABLE', subject: 'b' }, { exit: 5 }])
    expect((await at.json('queue', 'ls')).records).toMatchObject([
      { backend: 'b', key: 'y', state: 'waiting' },
      { jobs: 1 },
    ])
    await rename(path.join(at.path, 'away'), path.join(at.path, 'b'))
    const ended = await at.stored('sync', '--until-idle')
    expect(ended).toEqual({ code: 0, stdout: '', stderr: '1 job done, no jobs are left\n' })
  })
})

describe('beside a process that syncs', () => {
  it('put and sync --until-idle end when a backend fails there: 5, with its name and error', async () => {
    await using at = await place()
    await fill(at, { x: 'x' })
    await rename(path.join(at.path, 'b'), path.join(at.path, 'away'))
    const daemon = at.start('sync')
    await says(daemon, 'syncing;')
    // This many failures in a row count as an outage.
    for (const name of '12345') await at.file(`y/${name}`, name)
    const failing = [
      { type: 'error', code: 'UNAVAILABLE', subject: 'b', message: expect.stringContaining('5 jobs left') },
    ]
    const put = await at.json('put', '-r', 'y')
    expect(put).toMatchObject({ code: 5, records: expect.arrayContaining([expect.objectContaining(failing[0] ?? {})]) })
    const { records } = await at.json('status')
    expect(records).toContainEqual(expect.objectContaining({ type: 'status', syncing: 'elsewhere' }))
    const error = expect.objectContaining({ code: 'UNAVAILABLE' })
    const told = { name: 'b', state: 'failing', error, asOf: expect.any(Number), retryAt: expect.any(Number) }
    expect(records).toContainEqual(expect.objectContaining(told))
    expect(records).toContainEqual(expect.objectContaining({ name: 'a', state: 'ok' }))
    // The jobs it waits for had failed before it began.
    expect(await at.json('sync', '--until-idle')).toMatchObject({ code: 5, records: [...failing, { exit: 5 }] })
    await rename(path.join(at.path, 'away'), path.join(at.path, 'b'))
    expect(await at.stored('sync', '--until-idle')).toMatchObject({ code: 0 })
    expect((await at.json('ls', '--unsynced')).records).toMatchObject([{ entries: 0 }])
    expect((await at.json('backend', 'show', 'b')).records[0]).toMatchObject({ state: 'ok' })
    expect(await interrupt(daemon, 'SIGINT')).toBe(130)
    expect((await at.json('backend', 'show', 'b')).records[0]).toMatchObject({ state: 'unknown' })
  })

  it('put waits for its copies, and makes them itself if that process ends first', async () => {
    await using at = await place()
    await fill(at, { x: 'x' })
    await rename(path.join(at.path, 'b'), path.join(at.path, 'away'))
    const first = at.start('put', '-', '--key', 'long')
    // It reads stdin only after the store is open.
    await new Promise((resolve) => first.stdin.once('drain', resolve).write(Buffer.alloc(4_000_000)))
    await at.file('y', 'y')
    const second = at.start('put', 'y')
    await once(second.stdout, 'data')
    await rename(path.join(at.path, 'away'), path.join(at.path, 'b'))
    expect(await interrupt(first, 'SIGKILL')).toBe(null)
    expect(await once(second, 'exit')).toEqual([0, null])
    expect((await at.json('whereis', 'y')).records[0]).toMatchObject({ copies: { a: 'synced', b: 'synced' } })
  })

  it('put does not wait for a backend added later, which that process does not know, and says so', async () => {
    await using at = await place()
    const daemon = at.start('sync')
    await says(daemon, 'syncing;')
    expect(await at.stored('backend', 'add', 'c', 'fs', 'root=./c')).toMatchObject({ code: 0 })
    await at.file('x', 'x')
    const left = 'c is not configured in the process that syncs: 1 job left until that is restarted'
    const { code, stderr } = await at.stored('put', 'x')
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining(left) })
    expect((await at.json('backend', 'show', 'c')).records[0]).toMatchObject({ state: 'unknown' })
    expect(await interrupt(daemon, 'SIGINT')).toBe(130)
    expect(await at.stored('sync', '--until-idle')).toMatchObject({ code: 0 })
    expect((await at.json('backend', 'show', 'c')).records[0]).toMatchObject({ jobs: { waiting: 0 } })
  })

  it('put --no-wait notifies and ends', async () => {
    await using at = await place()
    const daemon = at.start('sync')
    await says(daemon, 'syncing;')
    await fill(at, { x: 'x' })
    await rename(path.join(at.path, 'b'), path.join(at.path, 'away'))
    await at.file('y', 'y')
    expect(await at.stored('put', 'y', '--no-wait')).toMatchObject({ code: 0 })
    expect((await at.json('queue', 'ls', 'b')).records).toMatchObject([{ key: 'y' }, { jobs: 1 }])
    expect(await interrupt(daemon, 'SIGINT')).toBe(130)
  })
})

describe('what is done before it is told', () => {
  it('is counted by sync --until-idle', async () => {
    await using at = await place()
    await at.file('x', 'x')
    await at.stored('put', 'x', '--no-wait')
    const { stdout, stderr } = process
    const out = new Output({ stdout, stderr, json: false, quiet: true, verbose: false, color: false, progress: false })
    const { signal } = new AbortController()
    const context = { input: new Input([], {}), out, signal, configFile: undefined, dryRun: false, yes: false }
    const ended = await at.open((store) => syncUntilIdle(tellingLate(store), context, undefined))
    expect(ended).toEqual({
      exit: 0,
      text: '2 jobs done, no jobs are left',
      summary: { synced: 2, parked: 0 },
    })
  })
})

describe.concurrent('events --follow', () => {
  it('prints what another process puts, until interrupted: 130', async () => {
    await using at = await place()
    const daemon = at.start('sync')
    await says(daemon, 'syncing;')
    const follower = at.start('events', '--follow', '--json')
    const first = once(createInterface({ input: follower.stdout }), 'line')
    await at.file('x', 'x')
    expect(await at.stored('put', 'x')).toMatchObject({ code: 0 })
    const [line] = (await first) as [string]
    expect(JSON.parse(line)).toMatchObject({ v: 1, type: 'event', event: { type: 'put', key: 'x' } })
    expect(await interrupt(follower, 'SIGINT')).toBe(130)
    expect(await interrupt(daemon, 'SIGTERM')).toBe(130)
  })
})
