import { globSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { root } from '../followers/tarballs.ts'

const page = readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8')
/** The paths that the page names: code with a slash in it, relative to the root of the repository. */
const named = [...page.matchAll(/`([^`\s]+\/[^`\s]*)`/g)].map(([, path = '']) => path)
const there = (pattern: string) => globSync(pattern, { cwd: root }).map((path) => path.replaceAll('\\', '/'))

describe('ARCHITECTURE.md', () => {
  it.each(named)('names only existing paths: %s', (path) => {
    expect(there(path)).not.toEqual([])
  })

  it('names every package, every tool and every room', () => {
    const found = new Set(named.flatMap(there))
    const rooms = [
      ...there('{packages,drivers}/*/package.json').map((file) => file.slice(0, -'/package.json'.length)),
      ...there('packages/{core,syncd,cli}/src/*/'),
      ...there('tooling/*/'),
    ]
      .map((directory) => directory.replace(/\/$/, ''))
      // Git leaves a directory that moved if something is installed in it.
      .filter((directory) => readdirSync(join(root, directory)).some((name) => name !== 'node_modules'))
    expect(rooms.filter((room) => !found.has(room))).toEqual([])
  })
})
