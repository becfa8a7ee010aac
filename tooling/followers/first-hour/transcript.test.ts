import { describe, expect, it } from 'vitest'
import { differences, stepsOf, withOutputs } from './transcript.ts'

const GUIDE = `# A guide

\`\`\`sh
npm install
\`\`\`

\`\`\`console
$ stored ls
a
b
$ true
\`\`\`

$ no command
`

describe('stepsOf()', () => {
  it('finds the commands of console blocks, and the output below each', () => {
    expect(stepsOf(GUIDE)).toEqual([
      { command: 'stored ls', line: 8, output: ['a', 'b'] },
      { command: 'true', line: 11, output: [] },
    ])
  })
})

describe('withOutputs()', () => {
  it('replaces the output below commands, and nothing else', () => {
    const outputs = stepsOf(GUIDE).map(({ output }) => output)
    expect(withOutputs(GUIDE, outputs)).toBe(GUIDE)
    expect(withOutputs(GUIDE, [['c'], []])).toBe(GUIDE.replace('a\nb', 'c'))
  })
})

describe('differences()', () => {
  const step = { command: 'stored ls -l', line: 8, output: ['6 B  2026-01-02 03:04:05  a', 'staged: 0 B of 1.0 GB'] }

  it('ignore times, ages and disk sizes', () => {
    expect(differences('guide.md', step, ['6 B  2027-06-07 08:09:10  a', 'staged: 0 B of 67.6 GB'])).toEqual([])
    const aged = { ...step, output: ['it is not there, 3 s ago'] }
    expect(differences('guide.md', aged, ['it is not there, 1:02 ago'])).toEqual([])
  })

  it.each([
    ['another line', ['6 B  2027-06-07 08:09:10  b'], 'guide.md:9: stored ls -l'],
    ['a line less', step.output.slice(0, 1), 'guide.md:10: stored ls -l'],
    ['a line more', [...step.output, 'more'], 'guide.md:11: stored ls -l'],
  ])('name the file and the line of %s', (_, shown, first) => {
    expect(differences('guide.md', step, shown)[0]).toBe(first)
  })
})
