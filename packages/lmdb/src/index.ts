export { LmdbLedger, type LmdbLedgerOptions } from './lmdb-ledger.ts'
export { DiskReserve } from './reserve.ts'
