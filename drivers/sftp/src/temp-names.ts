import { randomUUID } from 'node:crypto'

const UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}'
const OURS = new RegExp(`^stored-${UUID}(?:-aB-\u00e9)?$`)

/** A new name for a file of this driver. Of fixed length: a key may already fill NAME_MAX. */
export function temporaryName(): string {
  return `stored-${randomUUID()}`
}

/** One that tells a medium that knows case and composition from one that does not: an e acute, composed. */
export function telltaleName(): string {
  return `${temporaryName()}-aB-\u00e9`
}

/** Whether a file of this name is one of this driver. No other program names its files so: those are not ours to remove. */
export function isTemporary(name: string): boolean {
  return OURS.test(name.normalize('NFC'))
}
