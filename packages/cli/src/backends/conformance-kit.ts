import { type StorageBackend, StorageError } from '@stored/core/backend'

const NAME = '@stored/conformance'
const AT = { op: 'conformance' }

/** The part of a harness that this command uses. */
export interface Harness {
  readonly name: string
  open(): Promise<StorageBackend>
  readonly shared?: boolean
  scope?(id: string): string
  close?(): Promise<void>
}

export interface KitOptions {
  readonly profile?: 'quick' | 'full' | 'soak'
  readonly only?: readonly string[]
  readonly seed?: number
  readonly signal?: AbortSignal
  readonly onResult?: (result: CaseResult) => void
}

export interface CaseResult {
  readonly id: string
  readonly view: string
  readonly status: 'proved' | 'skipped' | 'waived' | 'failed'
  readonly error?: Error
}

/** The kit documents the format. */
export interface ReportJson {
  readonly badge: string
  readonly level: string | null
  readonly counts: Readonly<Record<string, number>>
}

/**
 * The part of @stored/conformance that this command uses. The kit is not a dependency, because most users never run it.
 */
export interface Kit<Report extends { readonly passed: boolean } = { readonly passed: boolean }> {
  loadHarness(file: string): Promise<Harness | string>
  runConformance(harness: Harness, options: KitOptions): Promise<Report>
  reportJson(report: Report): ReportJson
}

/**
 * Loads the kit from the working directory, as drivers are found, or else from here.
 *
 * @throws {StorageError} MISCONFIGURED: it is not installed · PERMISSION_DENIED: another user could have written it.
 */
export async function loadKit({ configFile }: { readonly configFile: string | undefined }): Promise<Kit> {
  const { findModule } = await import('@stored/node/config')
  const isNamed = Boolean(configFile ?? process.env.STORED_CONFIG)
  const found = await findModule(NAME, { directory: process.cwd(), isNamed }, AT)
  if (found !== null) return (await import(found)) as Kit
  throw new StorageError('MISCONFIGURED', AT, {
    detail: `the conformance kit is not installed: npm install --save-dev ${NAME}`,
  })
}
