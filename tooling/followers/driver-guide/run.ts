// Follows the guides for driver authors literally, outside the workspace, with the packages as published: generates a
// driver, writes and edits its files, runs the commands. Needs a build. `driver-guide PATH…` follows some of them.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { install, packAll, publicPackages, root } from '../tarballs.ts'
import { stepsOf } from './guide.ts'
import { Broken, Reader } from './reader.ts'

interface Guide {
  readonly path: string
  /** The server program that its driver is for, and its Debian package. */
  readonly server?: { readonly program: string; readonly debian: string }
}

const GUIDES: readonly Guide[] = [
  { path: 'docs/guides/writing-a-driver.md' },
  {
    path: 'docs/guides/writing-a-driver-for-a-server.md',
    server: { program: 'redis-server', debian: 'redis-server' },
  },
]
const GENERATOR = 'create-stored-driver'
const PACKAGES: readonly string[] = ['@stored/core', '@stored/conformance', GENERATOR]

/** In memory, where flushes cost nothing: their duration is not what the guide is about. */
const MEMORY = '/dev/shm'
const MEMORY_BYTES = 1 << 30

/** In a directory where `npm create stored-driver` finds the packed generator as if it had fetched it. */
function prepare(temp: string, scratch: string): Reader {
  const packages = publicPackages().filter(({ manifest }) => PACKAGES.includes(manifest.name))
  const tarballs = packAll(packages, join(temp, 'tarballs'))
  const directory = join(temp, 'work')
  mkdirSync(directory)
  const faults = install(GENERATOR, directory, { [GENERATOR]: `file:${tarballs.get(GENERATOR)}` })
  if (faults.length > 0) throw new Error(faults.join('\n'))
  return new Reader(directory, scratch, tarballs)
}

/** Where the guide's driver keeps its blobs. */
function fastest(): string {
  if (!existsSync(MEMORY)) return tmpdir()
  const { bavail, bsize } = statfsSync(MEMORY)
  return bavail * bsize < MEMORY_BYTES ? tmpdir() : MEMORY
}

/** @returns Whether it was followed to its end. */
function follow({ path }: Guide): boolean {
  const temp = mkdtempSync(join(tmpdir(), 'stored-driver-guide-'))
  const scratch = mkdtempSync(join(fastest(), 'stored-driver-guide-'))
  const steps = stepsOf(readFileSync(join(root, path), 'utf8'))
  try {
    const reader = prepare(temp, scratch)
    for (const step of steps) {
      const started = performance.now()
      const said = reader.follow(step)
      console.log(`${path}:${step.line}  ${said}  ${((performance.now() - started) / 1000).toFixed(1)} s`)
    }
    console.log(`${path} holds: ${steps.length} steps`)
    return true
  } catch (error) {
    if (!(error instanceof Broken)) throw error
    console.error(`${path}:${error.line}: ${error.message}`)
    return false
  } finally {
    for (const directory of [temp, scratch]) rmSync(directory, { recursive: true })
  }
}

/** Whether its server is missing: then a guide is skipped, but not in CI. */
function isMissing({ path, server }: Guide): boolean {
  if (server === undefined || spawnSync(server.program, ['--version']).status === 0) return false
  if (process.env.REQUIRE_SERVICES === '1') throw new Error(`${path} needs ${server.program}: install ${server.debian}`)
  console.log(`skipped: ${path}: ${server.program} is not installed (Debian: ${server.debian})`)
  return true
}

function main(): number {
  const named = process.argv.slice(2)
  const guides = GUIDES.filter(({ path }) => named.length === 0 || named.includes(path))
  const followed = guides.filter((guide) => !isMissing(guide)).map(follow)
  return followed.every(Boolean) ? 0 : 1
}

process.exitCode = main()
