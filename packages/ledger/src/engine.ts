// Entry `@stored/ledger/engine`: what an implementation of a ledger is made of.
export { requireFunction, requireResult } from './draft.ts'
export { EventLog, type EventLogOptions, LOG_OPTIONS } from './event-log.ts'
export { ExtensionTable } from './extension-table.ts'
export { attempt, type Caller, Group, type Numbers, type Run } from './group.ts'
export { TREES, unknownTree } from './ledger.ts'
export { pieceIn } from './packs.ts'
export type { Sink } from './sink.ts'
