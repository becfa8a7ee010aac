import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { testDirectory } from '@stored/testing/directory'
import { beforeEach, describe, expect, it } from 'vitest'
import type { Step } from './guide.ts'
import { Broken, Reader } from './reader.ts'

let directory: string
let reader: Reader
beforeEach(async () => {
  directory = await testDirectory()
  writeFileSync(join(directory, 'package.json'), '{ "dependencies": { "@stored/core": "^1.0.0", "other": "^1.0.0" } }')
  reader = new Reader(directory, directory, new Map([['@stored/core', '/core.tgz']]))
})

describe('Reader.follow()', () => {
  it('rejects a command that fails, with its line', () => {
    expect(broken({ kind: 'run', line: 7, text: 'node -e 0\nnode -e "process.exit(3)"\n' })).toEqual([
      8,
      '`node -e "process.exit(3)"` ends with 3\n',
    ])
  })

  it('rejects a command that should fail, and does not', () => {
    expect(broken({ kind: 'fails', line: 7, text: 'node -e 0\n' })).toEqual([
      7,
      '`node -e 0` succeeds, and was to fail\n',
    ])
  })

  it('rejects a line that should be printed, and was not', () => {
    reader.follow({ kind: 'run', line: 1, text: 'node -p 1\n' })
    expect(broken({ kind: 'output', line: 7, text: '1\n2\n' })).toEqual([8, 'this was not printed, but:\n1\n'])
  })

  it('rejects an edit of a file that does not exist', () => {
    expect(broken({ kind: 'edit', line: 7, text: 'f()', file: 'src/a.ts' })?.[0]).toBe(7)
  })

  it('reports what the kit proved', () => {
    const text = `node -p "'3/4 proved · 0 failed'"\n`
    expect(reader.follow({ kind: 'run', line: 1, text })).toBe(`${text.trimEnd()}: 3/4 proved · 0 failed`)
  })

  it('takes packages from their tarballs before it runs a command', () => {
    reader.follow({ kind: 'run', line: 1, text: 'node -e 0\n' })
    expect(JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'))).toEqual({
      dependencies: { '@stored/core': 'file:/core.tgz', other: '^1.0.0' },
    })
  })
})

function broken(step: Step): [number, string] | undefined {
  try {
    reader.follow(step)
  } catch (error) {
    if (error instanceof Broken) return [error.line, error.message]
    throw error
  }
  return undefined
}
