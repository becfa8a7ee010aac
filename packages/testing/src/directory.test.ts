import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, expect, it } from 'vitest'
import { temporaryDirectory, testDirectory } from './directory.ts'

let directory = ''
let former = ''

beforeEach(async () => {
  former = directory
  directory = await testDirectory()
})
afterEach(() => expect(existsSync(directory)).toBe(true))
afterAll(() => expect(existsSync(directory)).toBe(false))

it('testDirectory() exists until afterEach() has run', () => writeFile(join(directory, 'file'), ''))

it('testDirectory() is removed with its contents, and another test has another', () => {
  expect(former).not.toBe(directory)
  expect(existsSync(former)).toBe(false)
})

it('temporaryDirectory() is removed by its owner', async () => {
  let path: string
  {
    await using own = await temporaryDirectory()
    path = own.path
    expect(existsSync(path)).toBe(true)
  }
  expect(existsSync(path)).toBe(false)
})
