import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { offerService, type Service, startService } from './index.ts'

const available = await offerService('sshd')
const reason = typeof available === 'string' ? `, skipped: ${available}` : ''
if (typeof available !== 'string') await available[Symbol.asyncDispose]()

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
    await vi.waitFor(() => expect(existsSync(dirname(env.SFTP_ROOT as string))).toBe(false), 10_000)
    expect(await listens(env)).toBe(false)
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
})

async function firstLine({ stdout }: ChildProcess): Promise<Service['env']> {
  const lines = createInterface({ input: stdout as NodeJS.ReadableStream })
  const [line] = (await once(lines, 'line')) as [string]
  return JSON.parse(line) as Service['env']
}
