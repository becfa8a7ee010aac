import { tmpdir } from 'node:os'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'

/** The arguments of a program that kills repeatedly. */
export interface Arguments<Name extends string> {
  /** How often. */
  readonly wanted: number
  readonly seed: string
  /** The working directory. */
  readonly dir: string
  readonly keep: boolean
  readonly numbers: Readonly<Record<Name, number>>
}

/**
 * Parses `npm run TASK [-- N] [--seed S] [--dir DIR] [--keep]`. Exits with a usage message if that makes no sense.
 *
 * @param fallback N, if it is not given.
 * @param numbers Further options, all of them whole numbers from 1, with their defaults.
 */
export function parseArguments<Name extends string = never>(
  task: string,
  fallback: number,
  numbers = {} as Readonly<Record<Name, number>>,
): Arguments<Name> {
  const names = Object.keys(numbers) as Name[]
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      ...Object.fromEntries(names.map((name) => [name, { type: 'string', default: String(numbers[name]) } as const])),
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      dir: { type: 'string', default: tmpdir() },
      keep: { type: 'boolean', default: false },
    },
  })
  const given = values as Readonly<Record<string, unknown>>
  const chosen = Object.fromEntries(names.map((name) => [name, Number(given[name])])) as Record<Name, number>
  const wanted = Number(positionals[0] ?? fallback)
  const isSound = [wanted, ...Object.values<number>(chosen)].every((each) => Number.isInteger(each) && each >= 1)
  if (!isSound || positionals.length > 1) {
    const options = names.map((name) => ` [--${name} N]`).join('')
    console.error(`usage: npm run ${task} [-- N]${options} [--seed S] [--dir DIR] [--keep]`)
    process.exit(2)
  }
  return { wanted, seed: values.seed, dir: resolve(values.dir), keep: values.keep, numbers: chosen }
}
