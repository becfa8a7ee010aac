/** As `engines` of every package has it. */
export const NODE_RANGE = '^22.22.2 || ^24.15.0 || >=26.0.0'

/**
 * What StoreD needs, in a line, where it is run by another Node.js than one of `NODE_RANGE`; `null`: all is well. npm only warns of it
 * as it installs, and an older Node.js fails in the middle of something.
 */
export function runtimeFault(version: string = process.versions.node): string | null {
  const floors = NODE_RANGE.split(' || ').map(floorOf)
  if (floors.some((floor) => isFrom(numbersOf(version), floor))) return null
  const needed = floors.map(({ numbers, isOpen }) =>
    isOpen ? `${numbers.join('.')} and newer` : `${numbers[0]} from ${numbers.join('.')}`,
  )
  return `needs Node.js ${needed.slice(0, -1).join(', ')}, or ${needed.at(-1)}; this is ${version} (${process.execPath})`
}

type Numbers = readonly [major: number, minor: number, patch: number]

interface Floor {
  readonly numbers: Numbers
  /** Whether later major versions will do as well. */
  readonly isOpen: boolean
}

function floorOf(part: string): Floor {
  return { numbers: numbersOf(part.replace(/^\D+/, '')), isOpen: part.startsWith('>=') }
}

function isFrom([major, minor, patch]: Numbers, { numbers, isOpen }: Floor): boolean {
  if (major !== numbers[0]) return isOpen && major > numbers[0]
  return minor !== numbers[1] ? minor > numbers[1] : patch >= numbers[2]
}

function numbersOf(version: string): Numbers {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map((part) => Number.parseInt(part, 10))
  return [major, minor, patch]
}
