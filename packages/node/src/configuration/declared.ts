import path from 'node:path'
import { type Declared, declaredBy } from '../drivers.ts'
import type { Lookup } from '../find-module.ts'
import { type Branch, backendsOf, hidden, isBranch, toValue } from './tree.ts'

/** The backends that are made by a driver, and what the driver declares about its options. */
export type Declarations = ReadonlyMap<Branch, Declared>

export async function declarationsOf(tree: Branch, lookup: Lookup): Promise<Declarations> {
  const declarations = new Map<Branch, Declared>()
  for (const [, backend] of backendsOf(tree)) {
    const driver = isBranch(backend) ? backend.children.get('driver') : undefined
    const name = driver && toValue(driver)
    if (!isBranch(backend) || driver === undefined || typeof name !== 'string') continue
    declarations.set(backend, await declaredBy(isModule(name) ? path.resolve(driver.base, name) : name, lookup))
  }
  return declarations
}

/** Whether the name of a driver is a module path. */
export function isModule(driver: unknown): driver is string {
  return typeof driver === 'string' && driver.startsWith('.')
}

/** Marks the options that drivers list as secrets, so that they are not shown. */
export function hideSecrets(declarations: Declarations): void {
  for (const [{ children }, { secrets }] of declarations)
    for (const name of secrets) {
      const entry = children.get(name)
      if (entry !== undefined) children.set(name, hidden(entry))
    }
}
