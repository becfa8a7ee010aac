export { type CapabilityEntry, capabilityEntries, capabilityTable, withCapabilities } from './capability-table.ts'
export type { Case, Ctx, Profile, Provable } from './case.ts'
export { cases } from './cases.ts'
export { ChaosProxy, type Direction, type Echo, type Endpoint, type Page } from './chaos-proxy.ts'
export { type ChildTask, runChild } from './child.ts'
export { conformance, type TestRunner } from './conformance.ts'
export type { DriverMutant } from './driver-mutant.ts'
export { driverMutants, killMutants, mutated } from './driver-mutants.ts'
export { BrokenPromise } from './expect.ts'
export type { Fault, FaultRates, FaultyMethod } from './faults.ts'
export { FaultyBackend, type FaultyOptions } from './faulty-backend.ts'
export type { Harness, HarnessExport, OpenOptions, Outsider, Waiver } from './harness.ts'
export { loadHarness } from './load-harness.ts'
export type { Mutant } from './mutant.ts'
export { mutants } from './mutants.ts'
export { showProgress } from './progress.ts'
export { formatReport, type Outcome, type Report, type Result } from './report.ts'
export {
  type CaseReport,
  type CaseStatus,
  type Level,
  type ReportJson,
  reportJson,
} from './report-json.ts'
export { type Begun, type RunOptions, runConformance } from './runner.ts'
export type { Call, Subject, View } from './subject.ts'
export { KIT_VERSION } from './version.ts'
