import { chmod, lstat, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import {
  addBackendToFile,
  createConfigFile,
  loadConfig,
  newConfigText,
  removeBackendFromFile,
} from '@stored/node/config'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { appendChild, removeChild } from '../../src/configuration/insert.ts'
import { parseConfigText, parseNodes } from '../../src/configuration/text.ts'
import { toValue } from '../../src/configuration/tree.ts'
import { temp } from '../temp.ts'

const COMMENTED = `// Ours.
{
  "path": "store", // on the fast disk
  "backends": {
    // A stick.
    "usb": { "driver": "fs", "root": "usb" }, // behind the desk
    /* The big one. */
    "nas": {
      "driver": "fs", // mounted
      "root": "nas"
    } // in the cellar
    // Nothing else yet.
  },
  "defaultBackends": ["usb", "nas"] // both
}
`

async function edited(text: string, edit: (file: string) => Promise<void>): Promise<string> {
  await using dir = await temp()
  const file = path.join(dir.path, 'stored.config.json')
  await writeFile(file, text)
  await edit(file)
  expect(await readdir(dir.path)).toEqual(['stored.config.json'])
  return await readFile(file, 'utf8')
}

const adding = (text: string, name = 's3', config: object = { driver: 's3', bucket: 'b' }) =>
  edited(text, (file) => addBackendToFile(file, name, { ...config }))
const removing = (text: string, name: string) => edited(text, (file) => removeBackendFromFile(file, name))

describe('addBackendToFile()', () => {
  test('leaves every comment where it is, and with what it is about', async () => {
    expect(await adding(COMMENTED)).toBe(
      COMMENTED.replace('    } // in the cellar', '    }, // in the cellar').replace(
        '    // Nothing else yet.\n',
        '    // Nothing else yet.\n    "s3": {\n      "driver": "s3",\n      "bucket": "b"\n    }\n',
      ),
    )
  })

  test.each([
    [
      'tabs and CRLF',
      '{\r\n\t"path": "s",\r\n\t"backends": {\r\n\t\t"a": { "driver": "fs" }\r\n\t}\r\n}\r\n',
      '{\r\n\t"path": "s",\r\n\t"backends": {\r\n\t\t"a": { "driver": "fs" },\r\n\t\t"s3": {\r\n\t\t\t"driver": "s3",\r\n\t\t\t"bucket": "b"\r\n\t\t}\r\n\t}\r\n}\r\n',
    ],
    [
      'trailing commas',
      '{\n  "path": "s",\n  "backends": {\n    "a": { "driver": "fs" }, // first\n  },\n}\n',
      '{\n  "path": "s",\n  "backends": {\n    "a": { "driver": "fs" }, // first\n    "s3": {\n      "driver": "s3",\n      "bucket": "b"\n    },\n  },\n}\n',
    ],
    [
      'no backends',
      '{\n  "path": "s",\n  "backends": {}\n}\n',
      '{\n  "path": "s",\n  "backends": {\n    "s3": {\n      "driver": "s3",\n      "bucket": "b"\n    }\n  }\n}\n',
    ],
    [
      'no object of backends',
      '{\n  "path": "s" // here\n}\n',
      '{\n  "path": "s", // here\n  "backends": {\n    "s3": {\n      "driver": "s3",\n      "bucket": "b"\n    }\n  }\n}\n',
    ],
    [
      'one line',
      '{ "path": "s", "backends": { "a": { "driver": "fs" } } }',
      '{ "path": "s", "backends": { "a": { "driver": "fs" },\n  "s3": {\n    "driver": "s3",\n    "bucket": "b"\n  }\n} }',
    ],
  ])('goes on as the file has it: %s', async (_, before, after) => {
    expect(await adding(before)).toBe(after)
  })

  test('refuses a name that is taken', async () => {
    const detail = 'stored.config.json:8: there is a backend "nas"'
    await expect(adding(COMMENTED, 'nas')).rejects.toMatchObject({ code: 'ALREADY_EXISTS', detail })
  })

  test.each([
    ['a name that is none', 'a b', { driver: 'fs' }],
    ['a backend without a driver', 'b', { root: 'x' }],
    ['a wrong option of the store', 'b', { driver: 'fs', layout: 'x' }],
  ])('refuses %s, and leaves the file alone', async (_, name, config) => {
    const after = await edited(COMMENTED, async (file) => {
      await expect(addBackendToFile(file, name, config)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    })
    expect(after).toBe(COMMENTED)
  })

  test('refuses a file that is no JSON, and one that is a program', async () => {
    await expect(adding('{')).rejects.toMatchObject({ code: 'MISCONFIGURED' })
    const adding_ = addBackendToFile('stored.config.ts', 'a', { driver: 'fs' })
    await expect(adding_).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    const missing = addBackendToFile('/nowhere/stored.config.json', 'a', { driver: 'fs' })
    await expect(missing).rejects.toMatchObject({ code: 'MISCONFIGURED' })
  })

  test.each([
    [0o644, { driver: 'x', password: 'p' }, 0o600],
    [0o644, { driver: 'x', password: { env: 'P' } }, 0o644],
    [0o440, { driver: 'x' }, 0o440],
  ])('of a file with mode %o and %j leaves it with mode %o', async (before, config, after) => {
    await edited(COMMENTED, async (file) => {
      await chmod(file, before)
      await addBackendToFile(file, 'b', config)
      expect((await stat(file)).mode & 0o777).toBe(after)
    })
  })

  test('writes paths as the file sees them, when told where they start', async () => {
    await using dir = await temp()
    const file = path.join(dir.path, 'stored.config.json')
    await writeFile(file, '{ "path": "s", "backends": {} }')
    const cwd = path.join(dir.path, 'sub')
    await addBackendToFile(file, 'a', { driver: 'fs', root: 'x', password: { file: '../p' } }, { cwd })
    await addBackendToFile(file, 'b', { driver: './mine.ts', root: 'x' }, { cwd })
    await addBackendToFile(file, 'c', { driver: 'fs', root: '/x', password: { file: '/p' } }, { cwd })
    await addBackendToFile(file, 'd', { driver: 'fs', root: 'x' })
    expect(parsed(await readFile(file, 'utf8')).backends).toEqual({
      a: { driver: 'fs', root: './sub/x', password: { file: './p' } },
      b: { driver: './sub/mine.ts', root: 'x' },
      c: { driver: 'fs', root: '/x', password: { file: '/p' } },
      d: { driver: 'fs', root: 'x' },
    })
  })

  test('writes where a link leads', async () => {
    await using dir = await temp()
    const [file, link] = [path.join(dir.path, 'real.json'), path.join(dir.path, 'stored.config.json')] as const
    await writeFile(file, COMMENTED)
    await symlink(file, link)
    await addBackendToFile(link, 'b', { driver: 'fs' })
    expect((await lstat(link)).isSymbolicLink()).toBe(true)
    expect(await readFile(file, 'utf8')).toContain('"b": {')
  })
})

describe('removeBackendFromFile()', () => {
  test('takes out the backend and its name among the defaults, and no comment', async () => {
    expect(await removing(COMMENTED, 'usb')).toBe(
      COMMENTED.replace('"usb": { "driver": "fs", "root": "usb" }, // behind', '// behind').replace(
        '["usb", "nas"]',
        '["nas"]',
      ),
    )
    expect(await removing(COMMENTED, 'nas')).toBe(
      COMMENTED.replace('}, // behind', '} // behind')
        .replace('"nas": {\n      "driver": "fs", // mounted\n      "root": "nas"\n    } // in', '// in')
        .replace('["usb", "nas"]', '["usb"]'),
    )
  })

  test.each([
    ['{ "path": "s", "backends": { "a": { "driver": "fs" } } }', '{ "path": "s", "backends": { } }'],
    [
      '{\n  "path": "s",\n  "backends": {\n    "b": { "driver": "fs" },\n    "a": { "driver": "fs" },\n  },\n}\n',
      '{\n  "path": "s",\n  "backends": {\n    "b": { "driver": "fs" },\n  },\n}\n',
    ],
  ])('leaves JSON: %j', async (before, after) => {
    expect(await removing(before, 'a')).toBe(after)
  })

  test('refuses a backend that is not there', async () => {
    await expect(removing(COMMENTED, 'tape')).rejects.toMatchObject({
      code: 'NOT_FOUND',
      detail: expect.stringContaining('"tape"'),
    })
  })
})

describe('adding and removing', () => {
  const gap = fc.constantFrom('', ' ', '\n', '\n  ', ' // c\n', ' /* c */ ', '\n/* c\n c */\n', '\r\n\t// c\r\n')
  const file = fc
    .tuple(
      fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 4 }),
      fc.array(gap, { minLength: 20, maxLength: 20 }),
      fc.boolean(),
    )
    .map(([names, gaps, trailing]) => {
      const next = () => gaps.pop() ?? ''
      const members = names.map((name) => `${next()}"${name}":${next()}{"driver": "fs"}${next()}`)
      const comma = trailing && names.length > 0 ? `,${next()}` : ''
      return { names, text: `{"path": "s", "backends": {${members.join(',')}${comma}${next()}}}` }
    })

  test('keep every comment and every other value, however the file is written', () => {
    fc.assert(
      fc.property(file, fc.nat(), ({ names, text }, at) => {
        const added = appendChild(text, backendsOf(text), '"new"', { driver: 'x', list: [1, { a: 2 }] })
        expect(parsed(added).backends).toEqual({
          ...parsed(text).backends,
          new: { driver: 'x', list: [1, { a: 2 }] },
        })
        expect(commentsOf(added)).toEqual(commentsOf(text))
        const name = names[at % Math.max(names.length, 1)]
        if (name === undefined) return
        const { [name]: _, ...others } = parsed(text).backends
        const child = backendsOf(text).children?.[names.indexOf(name)]
        const removed = removeChild(text, child as NonNullable<typeof child>)
        expect(parsed(removed).backends).toEqual(others)
        // Those within what was removed go with it.
        expect(commentsOf(removed).length).toBeGreaterThanOrEqual(
          commentsOf(text).length - commentsWithin(text, child).length,
        )
      }),
      { numRuns: 1000 },
    )
  })
})

function backendsOf(text: string) {
  const node = parseNodes(text, { shown: 'x' }).children?.[1]?.children?.[1]
  if (!node) throw new Error('no backends')
  return node
}

function parsed(text: string): { backends: Record<string, object> } {
  return toValue(parseConfigText(text, { shown: 'x', base: '' })) as { backends: Record<string, object> }
}

function commentsOf(text: string): string[] {
  return text.match(/\/\/[^\r\n]*|\/\*[\s\S]*?\*\//g) ?? []
}

function commentsWithin(text: string, node: { offset: number; length: number } | undefined): string[] {
  return node ? commentsOf(text.slice(node.offset, node.offset + node.length)) : []
}

describe('createConfigFile()', () => {
  const CONFIG = { path: '.stored', backends: { local: { driver: 'fs', root: 'data' } }, defaultBackends: ['local'] }

  test('writes a file for its owner alone, which loadConfig() reads', async () => {
    await using dir = await temp()
    const file = path.join(dir.path, 'stored.config.json')
    await createConfigFile(file, CONFIG)
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    const { config } = await loadConfig({ cwd: dir.path, env: {} })
    expect(config).toEqual({
      ...CONFIG,
      path: path.join(dir.path, '.stored'),
      backends: { local: { driver: 'fs', root: path.join(dir.path, 'data') } },
    })
    await expect(createConfigFile(file, CONFIG)).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
  })

  test('says what each option is', () => {
    expect(newConfigText({ path: 'store', backends: { a: { driver: 'fs' } }, sync: undefined })).toBe(`{
  // Relative paths start from the directory of this file.
  "$schema": "./node_modules/@stored/node/stored.schema.json",
  // Directory of the store, on a local disk: index, queue and staged bytes. It is created if missing.
  "path": "store",
  // Where copies can be, by name: \`{ driver, …its options }\`; in a program also a backend, or \`{ backend, layout … }\`.
  "backends": {
    "a": {
      "driver": "fs"
    }
  }
}
`)
  })

  test('refuses what is no configuration, and a directory that is not there', async () => {
    expect(() => newConfigText({ path: 7, backends: {} })).toThrow('path must be a string, not number')
    await expect(createConfigFile('/nowhere/x.json', CONFIG)).rejects.toMatchObject({ code: 'MISCONFIGURED' })
  })
})
