// Prints the number of source lines of some packages, without tests and test kits: node tooling/run.mjs lines
// [PACKAGE...]
import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The packages that make up a store: no drivers, command or tools. */
const OF_A_STORE = ['core', 'ledger', 'lmdb', 'index', 'syncd', 'staging', 'read-cache']

const root = fileURLToPath(new URL('../..', import.meta.url))
const [, , ...named] = process.argv
const packages = (named.length > 0 ? named : OF_A_STORE).filter((name) =>
  existsSync(join(root, 'packages', name, 'package.json')),
)

let total = 0
for (const name of packages) {
  const directory = join(root, 'packages', name, 'src')
  const sources = globSync('**/*.ts', { cwd: directory }).filter((file) => !/\.test\.ts$|^kit\b/.test(file))
  const lines = sources.map((file) => readFileSync(join(directory, file), 'utf8').split('\n').length - 1)
  const sum = lines.reduce((all, one) => all + one, 0)
  total += sum
  console.log(`${name.padEnd(12)}${String(sources.length).padStart(5)} files${String(sum).padStart(8)} lines`)
}
console.log(`${'together'.padEnd(12)}${String(total).padStart(19)} lines`)
