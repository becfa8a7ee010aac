import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { checkExamples, examplesOf } from '../docs.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const fence = '```'

test('examplesOf() finds blocks of ts, indented ones too, and no others', () => {
  const markdown = `# title
${fence}ts
const a = 1
${fence}
${fence}tsx
not this
${fence}
- item
  ${fence}ts no-run
  const b = 2
  ${fence}
`
  expect(examplesOf('a.md', markdown)).toEqual([
    { file: 'a.md', line: 3, code: 'const a = 1\n', run: true },
    { file: 'a.md', line: 10, code: '  const b = 2\n', run: false },
  ])
})

test('checkExamples() names the line of a type error and of what throws', () => {
  const example = (line: number, code: string, run = true) => ({ file: 'docs/a.md', line, code, run })
  const failures = checkExamples(root, [
    example(10, `import { readFile } from 'node:fs/promises'\nawait readFile(process.execPath)\n`),
    example(20, `const text: string = 'fine'\nconst size: number = text\n`),
    example(30, `const one = 1\n\nthrow new Error('broken', { cause: one })\n`),
    example(40, `throw new Error('never run')\n`, false),
    example(50, `const wrong: string = 1\n`, false),
    example(60, `process.exitCode = 3\n`),
  ])
  expect(failures.map(({ file, line }) => `${file}:${line}`)).toEqual([
    'docs/a.md:21',
    'docs/a.md:50',
    'docs/a.md:32',
    'docs/a.md:60',
  ])
  expect(failures[2]?.message).toContain('broken')
  expect(failures[3]?.message).toContain('status 3')
})

test('checkExamples() runs an example in an empty directory of its own', () => {
  const code = `import { readdir, writeFile } from 'node:fs/promises'
if ((await readdir('.')).length > 0) throw new Error('not empty')
await writeFile('file', '')
`
  const examples = [1, 10].map((line) => ({ file: 'a.md', line, code, run: true }))
  expect(checkExamples(root, examples)).toEqual([])
})
