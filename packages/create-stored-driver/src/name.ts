import { Mistake } from './mistake.ts'

const PREFIX = 'stored-driver-'
/** Names that configurations look up first as `@stored/driver-NAME`. */
const TAKEN: readonly string[] = ['fs', 's3', 'azure', 'sftp', 'rclone']
/** Stricter than npm, so that every name also works for a class and a file. */
const NAME = /^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$/
/** @see https://docs.npmjs.com/cli/configuring-npm/package-json#name */
const MAX_LENGTH = 214

/**
 * The name of a driver, from the argument: `acme`, or the full `stored-driver-acme`.
 *
 * @throws {Mistake} Says what is wrong with it.
 */
export function driverName(text: string): string {
  const name = text.startsWith(PREFIX) ? text.slice(PREFIX.length) : text
  const fault = faultOf(name)
  if (fault !== null) throw new Mistake(`${JSON.stringify(text)} cannot be the name of a driver: ${fault}`)
  return name
}

/** The package name of a driver: `acme` → `stored-driver-acme`. @throws {Mistake} */
export function packageName(name: string): string {
  return PREFIX + driverName(name)
}

/** `my-cloud` → `MyCloud`. */
export function className(name: string): string {
  return name.replaceAll(/(?:^|-)([a-z0-9])/g, (_, first: string) => first.toUpperCase())
}

function faultOf(name: string): string | null {
  if (name === '') return 'it is empty'
  if (name.startsWith('@') || name.includes('/')) return 'a driver is found by its name only without a scope'
  if (name !== name.toLowerCase()) return 'names of packages are lower case'
  if (!NAME.test(name)) return 'it is made of letters, digits and single hyphens between them, and begins with a letter'
  if (TAKEN.includes(name)) return `{ driver: '${name}' } means @stored/driver-${name}`
  if (PREFIX.length + name.length > MAX_LENGTH) return `npm takes ${MAX_LENGTH - PREFIX.length} characters`
  return null
}
