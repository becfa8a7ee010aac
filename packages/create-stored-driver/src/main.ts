import { relative } from 'node:path'
import { parseArgs } from 'node:util'
import { createDriver } from './create-driver.ts'
import { Mistake } from './mistake.ts'

const HELP = `npm create stored-driver NAME [DIRECTORY]

Writes the package stored-driver-NAME, a driver for StoreD: the five methods over a Map, proved by the conformance kit.

  NAME        what configurations call it, as in { driver: 'NAME' }: lower-case letters, digits, hyphens
  DIRECTORY   where it is written, empty or not there; stored-driver-NAME unless given

  -h, --help  show this
`

/** Runs one command line. @returns The exit code: 0, or 2 for a mistake in the command line. */
export async function main(argv: readonly string[]): Promise<0 | 2> {
  try {
    process.stdout.write(await perform(argv))
    return 0
  } catch (error) {
    if (!(error instanceof Mistake)) throw error
    process.stderr.write(`create-stored-driver: ${error.message}\n`)
    return 2
  }
}

async function perform(argv: readonly string[]): Promise<string> {
  const { values, positionals } = parse(argv)
  if (values.help) return HELP
  const [name, directory, ...rest] = positionals
  if (name === undefined)
    throw new Mistake('the name of the driver is missing: npm create stored-driver NAME [DIRECTORY]')
  if (rest.length > 0) throw new Mistake(`too much: ${rest.join(' ')}`)
  if (directory === '') throw new Mistake('the directory is empty')
  const written = await createDriver(name, directory === undefined ? {} : { directory })
  return nextSteps(relative(process.cwd(), written))
}

function parse(argv: readonly string[]) {
  try {
    const options = { help: { type: 'boolean', short: 'h' } } as const
    return parseArgs({ args: [...argv], options, allowPositionals: true })
  } catch (cause) {
    throw new Mistake((cause as Error).message, { cause })
  }
}

function nextSteps(directory: string): string {
  const enter = directory === '' ? '' : `  cd ${directory}\n`
  return `Written. What comes next:

${enter}  npm install
  npm test             # green from the beginning: the methods work, over a Map
  npm run report       # what is proved, and which hooks of test/harness.ts would prove more

Then replace the methods of src/*-backend.ts one at a time. The guide:
https://github.com/stored/stored/blob/main/docs/guides/writing-a-driver.md
`
}
