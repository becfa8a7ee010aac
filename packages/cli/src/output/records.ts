import type {
  BackendInfo,
  BlobRecord,
  CacheStats,
  Digests,
  DurableEvent,
  ForgottenCopy,
  Job,
  ListEntry,
  Logged,
  RecordLocation,
  RepairResult,
  StagingUsage,
  StoreStatus,
  VerifyResult,
} from '@stored/core'
import type { ReportJson } from '../backends/conformance-kit.ts'
import type { Probe } from '../backends/probe.ts'

/** What `--json` writes: one record per line. Fields may be added to a version; existing ones keep their meaning. */
export type OutputRecord = { readonly v: 1 } & (
  | { readonly type: 'init'; readonly config: string; readonly path: string; readonly made: readonly string[] }
  | {
      readonly type: 'put'
      readonly source: string
      readonly key: string
      readonly id: string
      readonly size: number
      readonly mimeType: string
      readonly checksums: Digests
      readonly isNew: boolean
      readonly backends: readonly string[]
    }
  /** Part of the store itself, so it is not put. */
  | { readonly type: 'skipped'; readonly source: string; readonly message: string }
  | {
      readonly type: 'get'
      readonly name: string
      /** `-`: stdout. */
      readonly file: string
      /** Bytes written. */
      readonly size: number
    }
  | ({ readonly type: 'entry' } & ListEntry)
  | ({ readonly type: 'blob'; readonly name: string } & BlobRecord)
  /** Of `stat --copies`: the record shows a hundred of them. */
  | ({ readonly type: 'copy'; readonly name: string; readonly id: string } & RecordLocation)
  | { readonly type: 'has'; readonly name: string; readonly found: boolean }
  | {
      readonly type: 'delete'
      readonly name: string
      readonly deleted: readonly string[]
      readonly pending: readonly string[]
    }
  | {
      readonly type: 'whereis'
      readonly key: string
      readonly id: string
      readonly size: number
      /** The state of the copy on each backend; `null` if none is wanted there. */
      readonly copies: Readonly<Record<string, string | null>>
    }
  | {
      readonly type: 'copies'
      readonly key: string
      readonly id: string
      readonly have: number
      readonly want: number
      /** Backends that get a copy now. */
      readonly fix: readonly string[]
    }
  | ({ readonly type: 'verify' } & VerifyResult)
  | ({ readonly type: 'repair'; readonly name: string } & RepairResult)
  | ({ readonly type: 'forget' } & ForgottenCopy)
  | ({ readonly type: 'job' } & Job)
  | ({ readonly type: 'backend' } & BackendInfo)
  | {
      readonly type: 'status'
      readonly syncing: StoreStatus['syncing']
      readonly detached: StoreStatus['detached']
      readonly staging: StagingUsage
      readonly degraded: StoreStatus['degraded']
      readonly disk: StoreStatus['disk']
    }
  | ({ readonly type: 'cache' } & CacheStats)
  /** After a restore: no backend has the bytes of this blob, and none are staged. */
  | { readonly type: 'missing'; readonly id: string }
  | { readonly type: 'event'; readonly event: Logged<DurableEvent> }
  | {
      readonly type: 'option'
      readonly option: string
      readonly value: unknown
      readonly from: string
      readonly where?: string
    }
  | {
      readonly type: 'check'
      readonly check: string
      readonly result: 'ok' | 'warning' | 'failed'
      readonly message: string
    }
  | ({ readonly type: 'probe'; readonly backend: string } & Probe)
  /** From the conformance kit, in its own format: `ReportJson` of @stored/conformance. */
  | ({ readonly type: 'report' } & ReportJson)
  | { readonly type: 'completion'; readonly shell: string; readonly script: string }
  /** From a dry run: what would be done. */
  | { readonly type: 'plan'; readonly action: string; readonly [field: string]: unknown }
  | {
      readonly type: 'error'
      /** A code of a StorageError, or USAGE, NO_STORE, LOCKED, SKIPPED. */
      readonly code: string
      readonly message: string
      /** The page about the code, if it is a StorageError. */
      readonly url?: string
      /** The subject: a key, an id, a file, a backend. */
      readonly subject?: string
    }
  /** Always the last record. */
  | {
      readonly type: 'summary'
      readonly command: string
      readonly exit: number
      readonly dryRun?: true
      readonly [count: string]: unknown
    }
)

type WithoutVersion<Record> = Record extends unknown ? Omit<Record, 'v'> : never
/** A record before it is written. */
export type NewRecord = WithoutVersion<OutputRecord>
