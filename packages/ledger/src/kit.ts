// Entry `@stored/ledger/kit`: cases that every ledger passes.
export { CASES } from './kit/cases.ts'
export { type Done, type Peer, peerOf, type Step } from './kit/peer.ts'
export { type LedgerCase, type LedgerHarness, runCase } from './kit/run-case.ts'
export { withWrongHints } from './kit/wrong-hints.ts'
