import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { offerService, type Service, startFauxqs, startService } from './index.ts'

const available = await offerService('sshd')
const reason = typeof available === 'string' ? `, skipped: ${available}` : ''
if (typeof available !== 'string') await available[Symbol.asyncDispose]()

const ceph = await offerService('ceph-rgw', { CEPH_SUITE: 'forky', CEPH_STORE: 'bluestore' })
const noCeph = typeof ceph === 'string' ? `, skipped: ${ceph}` : ''
if (typeof ceph !== 'string') afterAll(() => ceph[Symbol.asyncDispose]())

/** The id of its process. */
function storeOf({ env }: Service): string {
  const [id] = readFileSync(join(dirname(env.S3_ADMIN as string), 'osd.pid'), 'utf8').split(' ')
  return id as string
}

/** Those that still run: of a process that was killed, one may be gone long before the others are. */
function threadsOf(process: string): string[] {
  const tasks = `/proc/${process}/task`
  const isOver = (id: string) => /^State:\s+[XZ]/m.test(readFileSync(join(tasks, id, 'status'), 'utf8'))
  return existsSync(tasks) ? readdirSync(tasks).filter((id) => !isOver(id)) : []
}

function listens({ SFTP_HOST, SFTP_PORT }: Service['env']): Promise<boolean> {
  const socket = net.connect({ host: SFTP_HOST ?? '', port: Number(SFTP_PORT) })
  return new Promise((resolve) => {
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
  }).finally(() => socket.destroy()) as Promise<boolean>
}

describe.skipIf(reason)(`startService()${reason}`, () => {
  it('starts a server, which is gone with its data once it is disposed of', async () => {
    const service = await startService('sshd')
    expect(await listens(service.env)).toBe(true)
    await service[Symbol.asyncDispose]()
    expect(await listens(service.env)).toBe(false)
    expect(existsSync(dirname(service.env.SFTP_ROOT as string))).toBe(false)
  })

  it('stops a server and starts it again, at the same address', async () => {
    await using service = await startService('sshd')
    await service.stop('SIGKILL')
    expect(await listens(service.env)).toBe(false)
    await service.start()
    expect(await listens(service.env)).toBe(true)
  })

  it('leaves nothing behind when the process that started it is killed', async () => {
    const source = `
      import { startService } from ${JSON.stringify(new URL('index.ts', import.meta.url).href)}
      console.log(JSON.stringify((await startService('sshd')).env))
      setInterval(() => {}, 60_000)`
    const child = spawn(process.execPath, ['--input-type=module', '--eval', source], { stdio: ['ignore', 'pipe', 2] })
    onTestFinished(() => void child.kill('SIGKILL'))
    const env = await firstLine(child)
    expect(await listens(env)).toBe(true)
    child.kill('SIGKILL')
    await once(child, 'exit')
    await vi.waitFor(() => expect(existsSync(dirname(env.SFTP_ROOT as string))).toBe(false), 60_000)
    expect(await listens(env)).toBe(false)
  })
})

describe.skipIf(noCeph)(`stop() of one process of several${noCeph}`, () => {
  it('waits until nothing of it runs any more: start() would take it for one that does', async () => {
    const service = ceph as Service
    const killed = storeOf(service)
    await service.stop('SIGKILL', 'osd')
    expect(threadsOf(killed)).toEqual([])
    await service.start()
    expect(threadsOf(storeOf(service))).not.toEqual([])
  })

  it('refuses one that there is not', async () => {
    await expect((ceph as Service).stop('SIGKILL', 'disk')).rejects.toThrow('it has no process disk')
  })
})

describe('offerService()', () => {
  it('says what is missing where a server cannot be had, and throws where it is required', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'services-'))
    onTestFinished(() => rm(directory, { recursive: true }))
    onTestFinished(() => void vi.unstubAllEnvs())
    // What a shell reads before its script: this one then finds no command.
    await writeFile(join(directory, 'blind'), 'command() { return 1; }')
    const settings = { BASH_ENV: join(directory, 'blind') }
    vi.stubEnv('REQUIRE_SERVICES', '0')
    expect(await offerService('sshd', settings)).toBe('sshd: there is no sshd: install openssh-server')
    vi.stubEnv('REQUIRE_SERVICES', '1')
    await expect(offerService('sshd', settings)).rejects.toThrow('there is no sshd')
  })

  it('says what is missing on a system that the scripts do not know', async () => {
    vi.stubEnv('REQUIRE_SERVICES', '0')
    onTestFinished(() => void vi.unstubAllEnvs())
    expect(await offerService('sshd', { OSTYPE: 'darwin24' })).toBe(
      'sshd: its script needs Linux, and this is darwin24',
    )
    expect(await offerService('sshd', { PATH: '' })).toBe('sshd: spawn bash ENOENT')
  })
})

describe('startFauxqs()', () => {
  it('starts a server, which is gone once it is disposed of', async () => {
    const fauxqs = await startFauxqs()
    expect((await fetch(fauxqs.endpoint)).status).toBe(200)
    await fauxqs[Symbol.asyncDispose]()
    await expect(fetch(fauxqs.endpoint)).rejects.toThrow('fetch failed')
  })

  it('leaves nothing behind when the process that started it is killed', async () => {
    const source = `
      import { startFauxqs } from ${JSON.stringify(new URL('index.ts', import.meta.url).href)}
      console.log(JSON.stringify(await startFauxqs()))
      setInterval(() => {}, 60_000)`
    const child = spawn(process.execPath, ['--input-type=module', '--eval', source], { stdio: ['ignore', 'pipe', 2] })
    onTestFinished(() => void child.kill('SIGKILL'))
    const { endpoint = '' } = await firstLine(child)
    expect((await fetch(endpoint)).status).toBe(200)
    child.kill('SIGKILL')
    await vi.waitFor(() => expect(fetch(endpoint)).rejects.toThrow('fetch failed'), 60_000)
  })
})

async function firstLine({ stdout }: ChildProcess): Promise<Service['env']> {
  const lines = createInterface({ input: stdout as NodeJS.ReadableStream })
  const [line] = (await once(lines, 'line')) as [string]
  return JSON.parse(line) as Service['env']
}
