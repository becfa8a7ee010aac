// Follows the guide for authors of drivers to the letter, outside the workspace, with the packages as they would be published:
// generates a driver, writes and edits its files, runs the commands. Needs a build.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { install, packAll, publicPackages, root } from '../tarballs.ts'
import { stepsOf } from './guide.ts'
import { Broken, Reader } from './reader.ts'

const GUIDE = 'docs/guides/writing-a-driver.md'
const GENERATOR = 'create-stored-driver'
const PACKAGES: readonly string[] = ['@stored/core', '@stored/conformance', GENERATOR]

/** In memory, where flushes cost nothing: how long they take is not what the guide is about. */
const MEMORY = '/dev/shm'
const MEMORY_BYTES = 1 << 30

/** In a directory where `npm create stored-driver` finds the packed generator, as it would find one that it fetched. */
function prepare(temp: string, scratch: string): Reader {
  const packages = publicPackages().filter(({ manifest }) => PACKAGES.includes(manifest.name))
  const tarballs = packAll(packages, join(temp, 'tarballs'))
  const directory = join(temp, 'work')
  mkdirSync(directory)
  const faults = install(GENERATOR, directory, { [GENERATOR]: `file:${tarballs.get(GENERATOR)}` })
  if (faults.length > 0) throw new Error(faults.join('\n'))
  return new Reader(directory, scratch, tarballs)
}

/** Where the driver of the guide keeps its blobs. */
function fastest(): string {
  if (!existsSync(MEMORY)) return tmpdir()
  const { bavail, bsize } = statfsSync(MEMORY)
  return bavail * bsize < MEMORY_BYTES ? tmpdir() : MEMORY
}

function main(): number {
  const temp = mkdtempSync(join(tmpdir(), 'stored-driver-guide-'))
  const scratch = mkdtempSync(join(fastest(), 'stored-driver-guide-'))
  const steps = stepsOf(readFileSync(join(root, GUIDE), 'utf8'))
  try {
    const reader = prepare(temp, scratch)
    for (const step of steps) {
      const started = performance.now()
      const said = reader.follow(step)
      console.log(`${GUIDE}:${step.line}  ${said}  ${((performance.now() - started) / 1000).toFixed(1)} s`)
    }
    console.log(`the guide holds: ${steps.length} steps`)
    return 0
  } catch (error) {
    if (!(error instanceof Broken)) throw error
    console.error(`${GUIDE}:${error.line}: ${error.message}`)
    return 1
  } finally {
    for (const directory of [temp, scratch]) rmSync(directory, { recursive: true })
  }
}

process.exitCode = main()
