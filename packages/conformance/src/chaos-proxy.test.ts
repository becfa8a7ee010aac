import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { ChaosProxy } from './chaos-proxy.ts'

/** A proxy in front of an echo server. */
async function echo() {
  const server = createServer((socket) => socket.on('error', () => {}).pipe(socket)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const proxy = await ChaosProxy.start({ host: '127.0.0.1', port: (server.address() as AddressInfo).port })
  onTestFinished(async () => {
    await proxy.close()
    server.close()
    await once(server, 'close')
  })
  return proxy
}

function client(proxy: ChaosProxy): Socket {
  const socket = connect(proxy.endpoint).on('error', () => {})
  onTestFinished(() => void socket.destroy())
  return socket
}

/** Resolves when the connection is closed, for whatever reason. */
async function closed(socket: Socket): Promise<void> {
  if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve))
}

/** Receives this many bytes, or until the connection ends. */
async function receive(socket: Socket, bytes = Number.POSITIVE_INFINITY): Promise<Buffer> {
  let got = Buffer.alloc(0)
  const iterator = socket.iterator({ destroyOnReturn: false })
  try {
    for await (const chunk of iterator) {
      got = Buffer.concat([got, chunk])
      if (got.length >= bytes) break
    }
  } catch {
    // A reset ends it too.
  }
  return got
}

async function exchange(socket: Socket, text: string): Promise<string> {
  socket.write(text)
  return String(await receive(socket, text.length))
}

describe('a ChaosProxy', () => {
  it('without faults passes bytes on, and the end of each side', async () => {
    const proxy = await echo()
    const sent = Buffer.alloc(1 << 20, 'abc')
    const socket = client(proxy)
    socket.end(sent)
    expect((await receive(socket)).equals(sent)).toBe(true)
    expect(proxy).toMatchObject({ connections: 1, bytes: { up: 1 << 20, down: 1 << 20 } })
  })

  it('cutAfter lets that many bytes pass, drops that connection, and strikes once', async () => {
    const proxy = await echo()
    const socket = client(proxy)
    expect(await exchange(socket, 'one')).toBe('one')
    proxy.cutAfter(2, 'down')
    socket.write('abcdef')
    expect(String(await receive(socket))).toBe('ab')
    expect(proxy.struck).toBe(true)
    expect(await exchange(client(proxy), 'again')).toBe('again')
  })

  it('flip changes one byte, in one direction', async () => {
    const proxy = await echo()
    proxy.flip(1, 'up')
    const socket = client(proxy)
    expect(await exchange(socket, 'aaa')).toBe('a`a')
    expect(await exchange(socket, 'aaa')).toBe('aaa')
  })

  it('stall holds everything back until heal', async () => {
    const proxy = await echo()
    const socket = client(proxy)
    await exchange(socket, 'hello')
    proxy.stall('down')
    const answer = exchange(socket, 'late')
    await expect.poll(() => proxy.bytes.down).toBe(9) // it came from the server
    expect(socket.bytesRead).toBe(5)
    proxy.heal()
    expect(await answer).toBe('late')
  })

  it('refuse drops what is there and what comes, until heal', async () => {
    const proxy = await echo()
    const socket = client(proxy)
    await exchange(socket, 'hello')
    proxy.refuse()
    await closed(socket)
    expect(String(await receive(client(proxy)))).toBe('')
    proxy.heal()
    expect(await exchange(client(proxy), 'back')).toBe('back')
  })

  it('show answers every request with its page, and anything but HTTP with an HTTP error, until heal', async () => {
    const proxy = await echo()
    const before = client(proxy)
    await exchange(before, 'hello')
    proxy.show({ status: 302, html: '<html>', headers: { location: '/login' } })
    await closed(before)
    const url = `http://127.0.0.1:${proxy.endpoint.port}/any`
    for (const method of ['GET', 'PUT', 'HEAD', 'DELETE']) {
      const answer = await fetch(url, {
        method,
        redirect: 'manual',
        body: method === 'PUT' ? 'x'.repeat(1 << 20) : null,
      })
      expect({ status: answer.status, type: answer.headers.get('content-type') }).toEqual({
        status: 302,
        type: 'text/html',
      })
      expect(await answer.text()).toBe(method === 'HEAD' ? '' : '<html>')
    }
    const other = client(proxy)
    other.write('SSH-2.0-client\r\n')
    expect(String(await receive(other))).toContain('400 Bad Request')
    proxy.heal()
    expect(await exchange(client(proxy), 'back')).toBe('back')
  })

  it('throttle passes a little at a time, until heal', async () => {
    const proxy = await echo()
    proxy.throttle(10, 'up')
    const socket = client(proxy)
    socket.write('x'.repeat(10_000))
    const first = await receive(socket, 1)
    expect(first.length).toBeLessThan(100)
    proxy.heal()
    expect((await receive(socket, 10_000 - first.length)).length).toBe(10_000 - first.length)
  })

  it('close ends what is stalled, and may be called twice', async () => {
    const proxy = await echo()
    const socket = client(proxy)
    await exchange(socket, 'hello')
    proxy.stall()
    socket.write('held')
    await proxy.close()
    await proxy.close()
    await closed(socket)
  })
})
