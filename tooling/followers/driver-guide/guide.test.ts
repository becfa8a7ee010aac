import { describe, expect, it } from 'vitest'
import { missingLine, stepsOf } from './guide.ts'

const FENCE = '```'
const block = (label: string, text: string) => `${FENCE}${label}\n${text}\n${FENCE}\n`

describe('stepsOf()', () => {
  it('finds the steps, each with its line', () => {
    const guide = [
      block('ts file=src/a.ts', 'a'),
      block('ts file=src/a.ts edit', 'b'),
      block('text file=src/a.ts remove', 'c'),
      block('sh run', 'd'),
      block('sh fails', 'e'),
      block('text output', 'f'),
    ]
    expect(stepsOf(guide.join('')).map(({ kind, line, text, file }) => [kind, line, text, file])).toEqual([
      ['write', 2, 'a\n', 'src/a.ts'],
      ['edit', 5, 'b\n', 'src/a.ts'],
      ['remove', 8, 'c\n', 'src/a.ts'],
      ['run', 11, 'd\n', undefined],
      ['fails', 14, 'e\n', undefined],
      ['output', 17, 'f\n', undefined],
    ])
  })

  it('leaves other blocks to the reader', () => {
    expect(stepsOf(block('ts', 'a') + block('ts no-run', 'b') + block('sh', 'c') + block('json', 'd'))).toEqual([])
  })
})

describe('missingLine()', () => {
  it('is null if every line was printed in this order, with others in between', () => {
    expect(missingLine('a\nc\n', 'a\nb\nc\n')).toBeNull()
  })

  it('names the first line that was not', () => {
    expect(missingLine('c\na\n', 'a\nc\n')).toBe(1)
  })

  it('treats … as anything within a line, and the rest literally', () => {
    expect(missingLine('seed: … }', 'seed: 17 }')).toBeNull()
    expect(missingLine('a.c', 'abc')).toBe(0)
  })
})
