import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { StorageError } from '@stored/core/backend'
import { LmdbLedger } from '@stored/lmdb'
import { dumpOf, filesIn } from '@stored/testing/rows/dump'
import { checkLog } from '@stored/testing/rows/replay'
import { checkRows } from '@stored/testing/rows/row-check'
import { KEYS, type Key, type Outcome } from './protocol.ts'
import { bytesOf, openInjectStore, type Store } from './store.ts'

const SYNC_MS = 20_000

/** Checks a store after faults, without injecting any. @returns What is wrong with it. */
export async function inspect(directory: string, outcomes: readonly Outcome[]): Promise<string[]> {
  const violations = await compareRows(directory, 'as the faults left it')
  const store = await openInjectStore(directory)
  if ((await bytesIn(store, 'before')) !== 'right') violations.push('what was there before is not there any more')
  for (const key of KEYS) {
    const found = await bytesIn(store, key)
    const isAcknowledged = outcomes.some(({ call, code }) => call === `put ${key}` && code === undefined)
    if (isAcknowledged ? found !== 'right' : found !== 'right' && found !== 'absent')
      violations.push(`${key} was ${isAcknowledged ? '' : 'not '}acknowledged and is ${found}`)
  }
  violations.push(...(await repeat(store, directory)))
  await store.close()
  if (readdirSync(join(directory, 'store/staging')).some((name) => name !== '.stored-id'))
    violations.push('staging holds what nothing owes')
  return [...violations, ...(await compareRows(directory, 'in the end'))]
}

/** Compares every row with every other, and with the log. */
async function compareRows(directory: string, when: string): Promise<string[]> {
  const path = join(directory, 'store')
  const ledger = await LmdbLedger.open({ path, reserve: 0 })
  const { rows, violations } = checkRows(dumpOf(ledger), await filesIn(join(path, 'staging'), false))
  await ledger.close()
  return [...violations, ...checkLog(rows)].map((what) => `${when}: ${what}`)
}

async function bytesIn(store: Store, key: Key | 'before'): Promise<string> {
  try {
    return (await store.get(key)).equals(bytesOf(key)) ? 'right' : 'wrong'
  } catch (error) {
    return StorageError.is(error) && error.code === 'NOT_FOUND' ? 'absent' : String(error)
  }
}

/** Repeats the same puts: one blob each, one object each, and nothing left to do. */
async function repeat(store: Store, directory: string): Promise<string[]> {
  const violations: string[] = []
  for (const key of KEYS) await store.put(bytesOf(key), { key })
  await store.synced(undefined, { signal: AbortSignal.timeout(SYNC_MS) }).catch((error: Error) => {
    violations.push(`put again, it does not sync: ${error.message}`)
  })
  for (const key of KEYS) {
    const found = await bytesIn(store, key)
    if (found !== 'right') violations.push(`put again, ${key} is ${found}`)
    const object = join(directory, 'folder', key)
    if (!existsSync(object) || !readFileSync(object).equals(bytesOf(key)))
      violations.push(`${key} has no object, or a wrong one`)
  }
  const objects = readdirSync(join(directory, 'folder'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.parentPath.includes('.stored'))
    .map((entry) => entry.name)
  if (objects.length !== KEYS.length + 1) violations.push(`the folder holds ${objects}`)
  const [backend] = await store.listBackends()
  const { waiting, running, parked } = backend?.jobs ?? {}
  if (waiting || running || parked) violations.push(`jobs are left: ${JSON.stringify(backend?.jobs)}`)
  return violations
}
