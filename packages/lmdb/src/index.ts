export {
  ExclusiveIndex,
  type ExclusiveIndexOptions,
  FORMER_INDEX_FILE,
  type NewIndex,
  placeIndex,
  readIndex,
} from './exclusive-index.ts'
export { FORMAT, FORMER_FORMAT, LmdbLedger, type LmdbLedgerOptions, requireFormat } from './lmdb-ledger.ts'
export { DiskReserve } from './reserve.ts'
