import { pathToFileURL } from 'node:url'
import { describeType, StorageError } from '@stored/core/backend'
import type { Harness, HarnessExport } from './harness.ts'

/**
 * Loads the harness that a module exports as `harness`. The caller closes it.
 *
 * @param file Absolute path of the module.
 * @returns Why there is none here, if the module says so: a server that is not installed.
 * @throws {StorageError} INVALID_ARGUMENT: the module exports none. Whatever the module throws.
 */
export async function loadHarness(file: string): Promise<Harness | string> {
  const { harness } = (await import(pathToFileURL(file).href)) as { harness?: HarnessExport }
  const made = typeof harness === 'function' ? await harness() : harness
  if (typeof made === 'string' || isHarness(made)) return made
  throw new StorageError(
    'INVALID_ARGUMENT',
    { op: 'conformance' },
    { detail: `${file} exports no \`harness\` with a name and a function \`open\`, but ${describeType(made)}` },
  )
}

function isHarness(value: unknown): value is Harness {
  const { name, open } = (value ?? {}) as Partial<Harness>
  return typeof name === 'string' && typeof open === 'function'
}
