import { randomUUID } from 'node:crypto'
import { type ErrorLocation, StorageError } from '../../backend/error.ts'
import type { Transaction } from '../../ports/ledger.ts'
import type { Services } from '../services.ts'
import type { Configured } from './backends.ts'
import { checkRemovable } from './removable.ts'
import { isCurrent, isLeaving, takeMarksBack } from './tenancy.ts'

/** How long a mark holds by itself. */
const HOLDS_MS = 30_000
const RENEWED_MS = 10_000

/**
 * Ends the backend's generation in one commit, whatever the number of its copies. Without `force` a mark stands from before the check to that
 * commit: what would make the check untrue is refused, or takes the mark back.
 * A process that dies in between leaves a mark that anyone may take back after half a minute.
 *
 * @throws {StorageError} PRECONDITION_FAILED: what the check found, or what happened since · CONFLICT: another call removes it.
 */
export async function removeBackend(
  services: Services,
  target: Configured,
  { force, dryRun }: { force?: boolean; dryRun?: boolean },
  signal: AbortSignal,
): Promise<void> {
  // Before any mark: a removal that is refused hinders nobody.
  if (!force) await checkRemovable(services, target.name, signal)
  if (dryRun) return
  if (force) await services.ledger.transact((tx) => planRemoval(services, tx, target, null))
  else await removeChecked(services, target, signal)
}

async function removeChecked(services: Services, target: Configured, signal: AbortSignal): Promise<void> {
  const { ledger, index } = services
  const token = randomUUID()
  const { name } = target
  const isOurs = (tx: Transaction) => index.tenure(tx, name).leaving?.token === token
  await ledger.transact((tx) => planMark(services, tx, target, token))
  const renewal = setInterval(() => {
    const renewed = ledger.transact((tx) => {
      if (isOurs(tx)) index.setLeaving(tx, name, { token, until: tx.now + HOLDS_MS })
    })
    renewed.catch(() => {}) // It still holds for a while, and the last commit looks.
  }, RENEWED_MS)
  try {
    await checkRemovable(services, name, signal)
    await ledger.transact((tx) => planRemoval(services, tx, target, token))
  } catch (error) {
    const takenBack = ledger.transact((tx) => {
      if (isOurs(tx)) index.setLeaving(tx, name, null)
    })
    await takenBack.catch(() => {}) // Its time ends.
    throw error
  } finally {
    clearInterval(renewal)
  }
}

function planMark(services: Services, tx: Transaction, { name, generation }: Configured, token: string): void {
  // Removed by another process: the last commit finds so too.
  if (!isCurrent(services, tx, name, generation)) return
  if (isLeaving(services, tx, name))
    throw new StorageError('CONFLICT', atOf(name), { detail: 'another call is removing it' })
  services.index.setLeaving(tx, name, { token, until: tx.now + HOLDS_MS })
}

function planRemoval(
  services: Services,
  tx: Transaction,
  { name, generation }: Configured,
  token: string | null,
): void {
  const { index } = services
  // Another process was first: what has the name now is not what this process has open.
  if (!isCurrent(services, tx, name, generation)) return
  if (token !== null && index.tenure(tx, name).leaving?.token !== token) {
    const detail =
      'while it was checked, it got a copy, another copy was found damaged, or the check stood still: try again'
    throw new StorageError('PRECONDITION_FAILED', atOf(name), { detail })
  }
  // Of its copies nobody asked whether others count on them.
  if (token === null) takeMarksBack(services, tx)
  index.endTenure(tx, name)
}

function atOf(backend: string): ErrorLocation {
  return { op: 'removeBackend', backend }
}
