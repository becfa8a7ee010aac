import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { GetObjectCommand } from '@aws-sdk/client-s3'
import { expect, it } from 'vitest'
import { Client } from './client.ts'
import { parseOptions } from './options.ts'

it('reconnect() makes later requests use a new connection', async () => {
  const sockets: Socket[] = []
  const server = createServer(({ socket }, response) => {
    sockets.push(socket)
    response.setHeader('x-amz-request-id', '1').setHeader('etag', '"1"').end('bytes')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const endpoint = `http://127.0.0.1:${port}`
  const identity = { accessKeyId: 'a', secretAccessKey: 'b' }
  const client = new Client(parseOptions({ bucket: 'bucket', endpoint, region: 'us-east-1', ...identity }), 4)
  const call = { at: { op: 'stat' }, signal: AbortSignal.timeout(60_000) }
  const ask = async () => {
    const { Body } = await client.send(new GetObjectCommand({ Bucket: 'bucket', Key: 'k' }), call)
    await Body?.transformToByteArray()
    // During which the connection is returned.
    await new Promise(setImmediate)
  }
  try {
    await ask()
    await ask()
    client.reconnect()
    await ask()
    expect(sockets.map((socket) => socket === sockets[0])).toEqual([true, true, false])
  } finally {
    client.close()
    server.closeAllConnections()
    server.close()
  }
})
