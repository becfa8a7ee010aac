import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { root } from '../followers/tarballs.ts'

/** `file › title`, as the last column of the threat table names the tests. */
const HELD = /`([^`]+\.test\.ts)` › (.+?)(?= · `| \|$)/g

const threats = readFileSync(join(root, 'SECURITY.md'), 'utf8')
  .split('\n')
  .filter((line) => /^\| (?!\*\*|threat|-)/.test(line))
  .map((line) => ({ threat: line.split('|')[1]?.trim() as string, tests: [...line.matchAll(HELD)] }))

describe('a threat in SECURITY.md is held by a test that is there', () => {
  it.each(threats)('$threat', ({ tests }) => {
    expect(tests.length).toBeGreaterThan(0)
    for (const [, file, title] of tests as unknown as [string, string, string][]) {
      expect(existsSync(join(root, file)), file).toBe(true)
      expect(titlesOf(readFileSync(join(root, file), 'utf8'))).toContain(title)
    }
  })
})

/** A source with its quoted texts unescaped. */
function titlesOf(source: string): string {
  return source.replaceAll("\\'", "'")
}
