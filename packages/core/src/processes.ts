// Entry `@stored/core/processes`: processes of one machine that share a store, and the sockets between them.
export { lifeOf, type ProcessIdentity, THIS_PROCESS } from './processes/process-identity.ts'
export { connectTo, SocketDirectory, type SocketDirectoryOptions } from './processes/socket-directory.ts'
