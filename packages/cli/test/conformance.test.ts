import { readdir, rename } from 'node:fs/promises'
import path from 'node:path'
import * as conformance from '@stored/conformance'
import { expect, it } from 'vitest'
import { type Kit, loadKit } from '../src/backends/conformance-kit.ts'
import { place } from './place.ts'

const HARNESS = `
const blobs = new Map()

class Backend {
  name = 'acme'
  capabilities = { contract: 1 }
  async put(key, body) {
    const chunks = []
    for await (const chunk of body) chunks.push(Uint8Array.from(chunk))
    blobs.set(key, Buffer.concat(chunks))
    return { key, size: blobs.get(key).length }
  }
  async get(key) {
    const bytes = blobs.get(key)
    if (!bytes) throw new Error('no such blob')
    return { stat: { key, size: bytes.length }, body: (async function* () { yield bytes })() }
  }
  async stat(key) { return blobs.has(key) ? { key, size: blobs.get(key).length } : null }
  async delete(key) { blobs.delete(key) }
  async *list({ prefix }) { for (const [key, { length: size }] of blobs) if (key.startsWith(prefix)) yield { key, size } }
}
export const harness = { name: 'acme', inProcess: true, open: async () => new Backend() }
`

it('the installed kit has the interface that the command expects', async () => {
  const kit: Kit<conformance.Report> = conformance
  expect(Object.keys(await loadKit({ configFile: undefined }))).toEqual(expect.arrayContaining(Object.keys(kit)))
})

it('on a backend runs its cases below a prefix of its own, and leaves no blob there: 0', async () => {
  await using at = await place()
  await at.file('a/x', 'a stranger')
  const { code, stdout } = await at.stored('conformance', 'a', '--only', 'rt', '--only', 'ls', '--yes')
  expect(stdout).toMatch(
    /^rt +\d+ proved\nls +\d+ proved, \d+ skipped\nStoreD conformance \d+\.\d+ · (\d+)\/\1 · level none/,
  )
  expect(code).toBe(0)
  const left = await readdir(path.join(at.path, 'a'), { recursive: true, withFileTypes: true })
  expect(
    left.filter((entry) => entry.isFile() && !entry.parentPath.includes('.stored')).map(({ name }) => name),
  ).toEqual(['x'])
})

it('on an unreachable backend says so, and creates nothing in its place: 5', async () => {
  await using at = await place()
  await at.file('x', 'x')
  expect(await at.stored('put', 'x')).toMatchObject({ code: 0 })
  await rename(path.join(at.path, 'a'), path.join(at.path, 'away'))
  const { code, stderr } = await at.stored('conformance', 'a', '--only', 'rt', '--yes')
  expect([code, stderr]).toEqual([5, expect.stringContaining('UNAVAILABLE')])
  expect(await readdir(at.path)).not.toContain('a')
})

it('on a module that exports a harness reports what failed, why, and how to repeat it: 1', async () => {
  await using at = await place()
  await at.file('harness.mjs', HARNESS)
  const args = ['conformance', './harness.mjs', '--only', 'sd.get-missing', '--only', 'rt.bytes', '--seed', '7']
  const { code, stdout } = await at.stored(...args)
  expect(code).toBe(1)
  expect(stdout).toContain("again    { only: ['sd.get-missing'], profile: 'quick', seed: 7 }")
  const { records } = await at.json(...args)
  expect(records).toMatchObject([
    { type: 'report', format: 1, driver: { name: 'acme' }, cases: { 'rt.bytes': { status: 'proved' } } },
    { type: 'summary', exit: 1, proved: 1, failed: 1 },
  ])
})

it('writes nothing without confirmation: 2 without a terminal, and a plan with -n', async () => {
  await using at = await place()
  expect(await at.stored('conformance', 'a')).toMatchObject({ code: 2, stderr: expect.stringContaining('--yes') })
  expect((await at.json('conformance', 'a', '-n')).records[0]).toMatchObject({ type: 'plan', action: 'conformance' })
  expect(await readdir(path.join(at.path, 'a'))).toEqual(['.stored'])
})

it.each([
  ['an unknown backend', ['nowhere', '--yes']],
  ['an unknown case', ['a', '--yes', '--only', 'rt.byte']],
  ['an unknown profile', ['a', '--yes', '--profile', 'fast']],
  ['a module without a harness', ['./empty.mjs']],
])('refuses %s: 2', async (_, args) => {
  await using at = await place()
  await at.file('empty.mjs', 'export {}')
  expect(await at.stored('conformance', ...args)).toMatchObject({ code: 2 })
})

it('on a module that explains why it has no harness here fails with that reason', async () => {
  await using at = await place()
  await at.file('harness.mjs', "export const harness = () => 'there is no sshd here'")
  expect(await at.stored('conformance', './harness.mjs')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('there is no sshd here'),
  })
})
