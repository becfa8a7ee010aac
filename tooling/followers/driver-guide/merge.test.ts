import { describe, expect, it } from 'vitest'
import { merge, remove } from './merge.ts'

describe('merge()', () => {
  it('adds what an import lacks, and keeps type imports as types', () => {
    expect(merge("import { a } from 'x'\n", "import type { B } from 'x'\nimport { a, c } from 'x'\n")).toBe(
      "import { a, type B, c } from 'x'\n",
    )
  })

  it('puts an import of another module first', () => {
    expect(merge("import { a } from 'x'\n", "import { b } from 'y'\n")).toBe(
      "import { b } from 'y'\nimport { a } from 'x'\n",
    )
  })

  it('replaces a declaration of the same name, with the comment before it', () => {
    expect(merge('/** Old. */\nfunction f() {}\nconst g = 1\n', '/** New. */\nfunction f() { return 1 }\n')).toBe(
      '/** New. */\nfunction f() { return 1 }\nconst g = 1\n',
    )
  })

  it('puts a new function last, and anything else before what is exported', () => {
    expect(merge('const a = 1\n\nexport class B {}\n', 'use(a)\nfunction f() {}\n')).toBe(
      'const a = 1\n\nuse(a)\n\nexport class B {}\n\nfunction f() {}\n',
    )
  })

  it('replaces members of a class in place, and leaves the others alone', () => {
    expect(merge('class A {\n  // Old.\n  #x() {}\n\n  y() {}\n}\n', 'class A {\n  #x() { return 1 }\n}\n')).toBe(
      'class A {\n  #x() { return 1 }\n\n  y() {}\n}\n',
    )
  })

  it('puts new fields first, and new methods after the one before them in the block, or last', () => {
    const block = 'class A {\n  readonly #f = 1\n  x() {}\n\n  #new() {}\n}\n'
    expect(merge('class A {\n  g = 2\n\n  x() {}\n\n  z() {}\n}\n', block)).toBe(
      'class A {\n  readonly #f = 1\n  g = 2\n\n  x() {}\n\n  #new() {}\n\n  z() {}\n}\n',
    )
    expect(merge('class A {\n  x() {}\n}\n', 'class A {\n  last() {}\n}\n')).toBe(
      'class A {\n  x() {}\n\n  last() {}\n}\n',
    )
  })

  it('merges the properties of an object', () => {
    expect(merge('const h = {\n  a: 1,\n  b: 2,\n}\n', 'const h = {\n  a: 3,\n  c: 4,\n}\n')).toBe(
      'const h = {\n  a: 3,\n  b: 2,\n  c: 4,\n}\n',
    )
  })
})

describe('remove()', () => {
  it('removes declarations and members, with their comments', () => {
    const source = 'const a = 1\n\n/** Gone. */\nconst b = 2\n\nclass C {\n  #x = 1\n  y = 2\n}\n'
    expect(remove(source, ['b', 'C.#x'])).toBe('const a = 1\n\nclass C {\n  y = 2\n}\n')
  })

  it('removes a property with its comma', () => {
    expect(remove('const o = {\n  a: 1,\n  b: 2,\n}\n', ['o.a'])).toBe('const o = {\n  b: 2,\n}\n')
  })

  it('throws if something does not exist', () => {
    expect(() => remove('class C {}', ['C.x'])).toThrow('C.x is not there')
  })
})
