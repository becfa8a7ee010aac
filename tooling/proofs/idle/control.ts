// Plain Node.js with the kinds of handles that a store holds open: node control.ts DIRECTORY
import { once } from 'node:events'
import { createConnection, createServer } from 'node:net'
import { join } from 'node:path'

const [directory] = process.argv.slice(2) as [string]
const socket = join(directory, 'control.sock')
const server = createServer((connection) => connection.unref())
  .listen(socket)
  .unref()
await once(server, 'listening')
const connection = createConnection(socket).unref()
await once(connection, 'connect')
setInterval(() => {}, 2 ** 31 - 1)
process.send?.('nowhere')
