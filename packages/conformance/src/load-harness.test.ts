import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { loadHarness } from './load-harness.ts'

const directory = mkdtempSync(join(tmpdir(), 'stored-harness-'))
afterAll(() => rmSync(directory, { recursive: true }))

function moduleOf(name: string, code: string): string {
  const file = join(directory, `${name}.mjs`)
  writeFileSync(file, code)
  return file
}

it.each([
  ['itself', "export const harness = { name: 'a', open() {} }"],
  ['by a function', "export const harness = async () => ({ name: 'a', open() {} })"],
])('loadHarness of a module that exports one %s returns it', async (how, code) => {
  await expect(loadHarness(moduleOf(how, code))).resolves.toMatchObject({ name: 'a' })
})

it('loadHarness of a module that cannot have one here returns the reason', async () => {
  const file = moduleOf('reason', "export const harness = () => 'no sshd'")
  await expect(loadHarness(file)).resolves.toBe('no sshd')
})

it('loadHarness of a module without one rejects with INVALID_ARGUMENT, naming it', async () => {
  const file = moduleOf('none', 'export const harness = { open() {} }')
  await expect(loadHarness(file)).rejects.toMatchObject({
    code: 'INVALID_ARGUMENT',
    detail: expect.stringContaining(file),
  })
})
