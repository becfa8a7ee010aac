export { ACCESS_MODE, type AccessMode, directoryMode, fileMode, SOCKET_MODE, setMode } from './access-mode.ts'
export {
  type Range,
  type Reader,
  readerOf,
  type Tree,
  type TreeLedger,
  type Writer,
  writerOf,
} from './ledger.ts'
export { LmdbLedger, type LmdbLedgerOptions } from './lmdb-ledger.ts'
export { makeDirectory, syncDirectory } from './make-directory.ts'
export { MemoryLedger, type MemoryLedgerOptions } from './memory-ledger.ts'
export { decodeNumbers, encodeNumbers } from './numbers.ts'
export { lifeOf, type ProcessIdentity, THIS_PROCESS } from './process-identity.ts'
export { DiskReserve } from './reserve.ts'
export { decodeRow, encodeRow, type Row, rowTicket } from './row.ts'
export { afterwards, guard, write } from './shims.ts'
export { connectTo, SocketDirectory, type SocketDirectoryOptions } from './socket-directory.ts'
export { after, END, pages, scan, Table, type Walk } from './table.ts'
