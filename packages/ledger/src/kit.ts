// Entry `@stored/ledger/kit`: cases that every ledger passes.
export { CASES } from './kit/cases.ts'
export { type LedgerCase, type LedgerHarness, runCase } from './kit/run-case.ts'
