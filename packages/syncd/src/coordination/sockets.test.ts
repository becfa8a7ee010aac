import { once } from 'node:events'
import { mkdir, readdir, rename, stat } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { testDirectory } from '@stored/testing/directory'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Doorbell } from './doorbell.ts'
import { Sockets, type SocketsOptions } from './sockets.ts'

let directory: string
let opened: { close(): Promise<void> }[]

beforeEach(async () => {
  directory = await testDirectory()
  opened = []
})

afterEach(async () => {
  for (const one of opened.reverse()) await one.close()
})

async function open(at: string, options?: SocketsOptions): Promise<Sockets> {
  const sockets = await Sockets.open(at, options)
  opened.push(sockets)
  return sockets
}

async function listen(sockets: Sockets): Promise<Awaited<ReturnType<Sockets['listen']>>> {
  const listening = await sockets.listen(() => {})
  opened.push(listening.doorbell)
  return listening
}

async function reaches(sockets: Sockets, address: Parameters<Sockets['connect']>[0]): Promise<boolean> {
  const socket = await sockets.connect(address)
  socket?.destroy()
  return socket !== null
}

/** Leaves its socket behind, like a killed process. */
async function die(at: string, name: string): Promise<void> {
  const server = createServer().listen(path.join(at, 'moved'))
  await once(server, 'listening')
  // Closing removes the name that was listened on.
  await rename(path.join(at, 'moved'), path.join(at, name))
  await new Promise((resolve) => server.close(resolve))
}

async function makeLong(): Promise<string> {
  const long = path.join(directory, 'd'.repeat(100), 'e'.repeat(100))
  await mkdir(long, { recursive: true })
  return long
}

describe('listen()', () => {
  test('puts the socket into the directory, which decides who may connect', async () => {
    const { address } = await listen(await open(directory))
    expect(await readdir(directory)).toEqual([address.socket])
    expect((await stat(path.join(directory, address.socket))).mode & 0o777).toBe(0o666)
    expect(address).not.toHaveProperty('under')
  })

  test('uses a new name', async () => {
    const sockets = await open(directory)
    const names = [await listen(sockets), await listen(sockets)].map(({ address }) => address.socket)
    expect(new Set(names).size).toBe(2)
  })

  test.skipIf(process.platform !== 'linux')('works in a directory with a path too long for a socket', async () => {
    const long = await makeLong()
    const { address } = await listen(await open(long))
    expect(await readdir(long)).toEqual([address.socket])
    expect(await reaches(await open(long), address)).toBe(true)
  })

  test('works there without descriptors as paths: the socket is in the directory for temporary files', async () => {
    const long = await makeLong()
    const { address } = await listen(await open(long, { descriptors: directory }))
    expect(address.under).toBe(tmpdir())
    expect(await readdir(long)).toEqual([])
    expect(await reaches(await open(long), address)).toBe(true)
  })
})

describe('connect()', () => {
  test('to a socket without a listener returns null', async () => {
    const sockets = await open(directory)
    expect(await sockets.connect({ socket: 'syncer-00000000000a.sock' })).toBeNull()
    await die(directory, 'syncer-00000000000b.sock')
    expect(await sockets.connect({ socket: 'syncer-00000000000b.sock' })).toBeNull()
  })

  test('through another path to the same directory reaches it', async () => {
    const { address } = await listen(await open(directory))
    expect(await reaches(await open(path.relative('.', directory)), address)).toBe(true)
  })

  test('from a copy of the store does not reach the original', async () => {
    const [original, copy] = [path.join(await makeLong(), 'a'), path.join(await makeLong(), 'b')]
    await mkdir(original)
    await mkdir(copy)
    const { address } = await listen(await open(original, { descriptors: directory }))
    expect(await reaches(await open(copy), address)).toBe(false)
  })

  test('that fails for a local reason rejects', async () => {
    const sockets = await open(directory)
    await expect(sockets.connect({ socket: 'x'.repeat(200) })).rejects.toMatchObject({ syscall: 'connect' })
  })
})

describe('sweep()', () => {
  test('removes the sockets of the dead, and keeps those of the living and the files of others', async () => {
    const sockets = await open(directory)
    const { address } = await listen(sockets)
    await die(directory, 'syncer-00000000000b.sock')
    await die(directory, 'other.sock')
    await sockets.sweep()
    expect((await readdir(directory)).sort()).toEqual(['other.sock', address.socket])
  })

  test('leaves its own alone: being connected to and left counts as a ring', async () => {
    const sockets = await open(directory)
    const rings = vi.fn()
    const { address, doorbell } = await sockets.listen(rings)
    opened.push(doorbell)
    await sockets.sweep(address)
    const follower = (await sockets.connect(address)) as Socket
    await once(follower, 'data')
    follower.write('r')
    await once(follower, 'data')
    expect(rings).toHaveBeenCalledOnce()
    follower.destroy()
  })

  test('removes that of a dead leader from the directory for temporary files', async () => {
    const sockets = await open(await makeLong(), { descriptors: directory })
    const { address, doorbell } = await sockets.listen(() => {})
    const file = path.join(tmpdir(), (await readdir(tmpdir())).find((name) => name.endsWith(address.socket)) as string)
    await rename(file, `${file}.kept`)
    await closeAndRestore(doorbell, file)
    await sockets.sweep(undefined, address)
    await expect(stat(file)).rejects.toMatchObject({ code: 'ENOENT' })
  })
})

async function closeAndRestore(doorbell: Doorbell, file: string): Promise<void> {
  await doorbell.close()
  await rename(`${file}.kept`, file)
}
