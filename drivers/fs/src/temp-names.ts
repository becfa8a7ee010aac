import { randomUUID } from 'node:crypto'

const UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}'
const OURS = new RegExp(`^stored-${UUID}(?:-aB-\u00e9)?$`)

/** A new name for a temporary file. Of fixed length: a key may already fill NAME_MAX. */
export function temporaryName(): string {
  return `stored-${randomUUID()}`
}

/** A name that shows whether a medium distinguishes case and composition: it contains a composed e acute. */
export function telltaleName(): string {
  return `${temporaryName()}-aB-\u00e9`
}

/** Whether a file name is one of this driver's. Files that other programs named are not ours to remove. */
export function isTemporary(name: string): boolean {
  return OURS.test(name.normalize('NFC'))
}
