import { mkdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { testDirectory } from '@stored/testing/directory'
import { beforeEach, describe, expect, it } from 'vitest'
import { checkExamples } from './check-examples.ts'
import { examplesOf, inPlace, programOf } from './examples.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const fence = '```'

describe('examplesOf()', () => {
  it('finds what can be checked, including indented blocks, and nothing else', () => {
    const markdown = `# title
${fence}ts
const a = 1
${fence}
${fence}
not this
${fence}
${fence}yaml
nor: this
${fence}
- item
  ${fence}ts no-run
  if (a)
    b()
  ${fence}
${fence}\`sh
cat <<END
${fence}ts
END
${fence}\`
${fence}json file=stored.config.json
{}
${fence}
`
    expect(examplesOf('a.md', markdown)).toEqual({
      examples: [
        { file: 'a.md', line: 3, language: 'ts', code: 'const a = 1\n', run: true },
        { file: 'a.md', line: 13, language: 'ts', code: 'if (a)\n  b()\n', run: false },
        { file: 'a.md', line: 17, language: 'sh', code: `cat <<END\n${fence}ts\nEND\n`, run: true },
        { file: 'a.md', line: 22, language: 'json', code: '{}\n', name: 'stored.config.json', run: true },
      ],
      failures: [],
    })
  })

  it.each(['typescript', 'bash', 'ts norun', 'ts no-run maybe'])('refuses %s, which would go unchecked', (label) => {
    const { examples, failures } = examplesOf('a.md', `\n${fence}${label}\nx\n${fence}\n`)
    expect(examples).toEqual([])
    expect(failures).toMatchObject([{ file: 'a.md', line: 2 }])
  })
})

describe('programOf()', () => {
  it('joins the examples of a module, each at its own lines', () => {
    const source = `/**
 * One.
 * ${fence}ts
 * const a = {
 *   b: 1,
 * }
 * ${fence}
 */
export class Shown {
  /**
   * ${fence}ts
   * a.b
   * ${fence}
   */
  *list() {}
}
`
    const code = '\n\n\nconst a = {\n  b: 1,\n}\n\n\n\n\n\na.b\n'
    expect(programOf('a.ts', source)).toEqual({
      examples: [{ file: 'a.ts', line: 1, language: 'ts', code, run: true }],
      failures: [],
    })
  })
})

describe('inPlace()', () => {
  it('leaves each block at its own lines', () => {
    const block = (line: number, code: string) => ({ file: 'a.md', line, language: 'sh', code, run: true }) as const
    expect(inPlace([block(2, 'a\nb\n'), block(5, 'c\n')])).toBe('\na\nb\n\nc\n')
  })
})

describe('checkExamples()', () => {
  let project: string
  beforeEach(async () => {
    project = await testDirectory()
    writeFileSync(join(project, 'package.json'), '{ "type": "module" }')
    link('packages/node', '@stored/node')
    link('node_modules/@types/node', '@types/node')
  })

  function link(target: string, name: string): void {
    const path = join(project, 'node_modules', name)
    mkdirSync(dirname(path), { recursive: true })
    symlinkSync(realpathSync(join(root, target)), path, 'junction')
  }

  /** The failures of a document that starts with a title. */
  async function check(...blocks: readonly string[]) {
    const markdown = `# title\n${blocks.map((block) => fence + block + fence).join('\n')}\n`
    const { examples, failures } = examplesOf('docs/a.md', markdown)
    expect(failures).toEqual([])
    return checkExamples(project, examples)
  }

  const places = (failures: Awaited<ReturnType<typeof check>>) => failures.map(({ file, line }) => `${file}:${line}`)

  it('names the lines of a type error and of an exception', async () => {
    const failures = await check(
      `ts\nimport { readFile } from 'node:fs/promises'\nawait readFile(process.execPath)\n`,
      `ts\nconst text: string = 'fine'\nconst size: number = text\n`,
      `ts\nconst one = 1\n\nthrow new Error('broken', { cause: one })\n`,
      `ts no-run\nthrow new Error('never run')\n`,
      `ts no-run\nconst wrong: string = 1\n`,
      `ts\nprocess.exitCode = 3\n`,
    )
    expect(places(failures)).toEqual(['docs/a.md:8', 'docs/a.md:13', 'docs/a.md:19', 'docs/a.md:22'])
    expect(failures[1]?.message).toContain('broken')
    expect(failures[3]?.message).toContain('status 3')
  })

  it('runs a program in its own empty directory', async () => {
    const program = `ts
import { readdir, writeFile } from 'node:fs/promises'
if ((await readdir('.')).length > 0) throw new Error('not empty')
await writeFile('file', '')
`
    expect(await check(program, program)).toEqual([])
  })

  it('runs sh blocks as one session, in a directory with the files that the document shows', async () => {
    const failures = await check(
      `ts file=lib/two.ts\nexport const two = 2\n`,
      `sh\n[ "$(ls)" = lib ]\nmkdir dir\ncd dir\nname=value\n`,
      `ts\nimport { two } from './lib/two.ts'\nconst three: 3 = two\n`,
      `sh\n[ "$(basename "$PWD") $name" = 'dir value' ]\nnode -e 'if (require("../lib/two.ts").two !== 2) throw 2'\n`,
    )
    expect(places(failures)).toEqual(['docs/a.md:13'])
  })

  it('names the line of a command that fails, and of an unset variable', async () => {
    expect(places(await check('sh\ntrue\n', 'sh\ntrue\ntest -e missing\necho on >reached\n'))).toEqual(['docs/a.md:7'])
    expect(places(await check('sh\ntrue\necho "$unset"\n'))).toEqual(['docs/a.md:4'])
  })

  it('ends what a session leaves running', async () => {
    expect(await check('sh\nsleep 1000 &\n')).toEqual([])
  })

  it('lets npm install packages that are present, and nothing else', async () => {
    const failures = await check('sh\nnpm install --save-dev @stored/node\nnpm install @stored/nothing\n')
    expect(places(failures)).toEqual(['docs/a.md:4'])
    expect(failures[0]?.message).toContain('@stored/nothing')
  })

  it('loads a configuration, and parses any other JSON', async () => {
    const secret = '{ "driver": "fs", "root": "data", "key": { "env": "SOME_KEY" } }'
    const failures = await check(
      `json\n{ "exports": {} }\n`,
      `json\n{\n  "exports": }\n`,
      `json\n{ // comments are allowed here\n  "path": ".stored",\n  "backends": { "local": ${secret} }\n}\n`,
      `json\n{\n  "pth": ".stored",\n  "backends": {}\n}\n`,
    )
    expect(places(failures)).toEqual(['docs/a.md:6', 'docs/a.md:17'])
    expect(failures[1]?.message).toContain('pth')
  })
})
