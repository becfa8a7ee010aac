export {
  type Piece,
  type Range,
  type Reader,
  readerOf,
  type Tree,
  type TreeLedger,
  type Writer,
  writerOf,
} from './ledger.ts'
export { MemoryLedger, type MemoryLedgerOptions } from './memory-ledger.ts'
export { decodeNumbers, encodeNumbers } from './numbers.ts'
export { packedBytes, piecesOf, sparsePacks } from './packs.ts'
export { decodeRow, encodeRow, type Row, rowTicket } from './row.ts'
export { after, END, pages, scan, Table, type Walk } from './table.ts'
