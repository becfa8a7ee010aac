import { describe, expect, it } from 'vitest'
import { emptyPlace, type Place } from './place.ts'

const TOKEN = 'a token of thirty characters..'

/** A memory backend that logs what it does and what it is told. */
const DRIVER = `
import { Credential, MemoryBackend } from ${JSON.stringify(import.meta.resolve('@stored/core/backend'))}
class Talkative extends MemoryBackend {
  name = 'talkative'
  async open(context) {
    this.log = context.log
    await new Credential(${JSON.stringify(TOKEN)}).use(async () => {})
    this.log({ level: 'warn', message: 'the disk is nearly full; ${TOKEN}' })
    this.log({ level: 'debug', message: 'connected' })
  }
  async put(key, body, options) {
    this.log({ level: 'warn', message: 'could not be cleaned up', key })
    for (let i = 0; i < 1000; i++) this.log({ level: 'debug', message: 'a flood' })
    return super.put(key, body, options)
  }
}
export const driver = () => new Talkative()`

async function talkative(): Promise<Place> {
  const at = await emptyPlace()
  await at.file('talkative.mjs', DRIVER)
  const backends = { a: { driver: './talkative.mjs' } }
  await at.file('stored.config.json', JSON.stringify({ path: '.stored', backends }))
  await at.stored('init', '--yes')
  await at.file('x', 'content')
  return at
}

describe('log messages of a driver', () => {
  it('is told by sync -v, without what is secret, and bounded', async () => {
    await using at = await talkative()
    await at.stored('put', 'x', '--no-wait')
    const { code, stderr } = await at.stored('sync', '--until-idle', '-v')
    expect(code).toBe(0)
    expect(stderr).toContain('a: the disk is nearly full; ***\na: connected\n')
    expect(stderr).toContain('a: "x": could not be cleaned up\n')
    expect(stderr).not.toContain(TOKEN)
    expect(stderr.match(/a flood/g)).toHaveLength(99)
    expect(stderr).toContain('a: more of these are left out')
  })

  it('appear in put -v as well, and never without', async () => {
    await using at = await talkative()
    expect((await at.stored('put', 'x', '--key', 'y', '-v')).stderr).toContain('a: "y": could not be cleaned up')
    expect((await at.stored('put', 'x')).stderr).not.toContain('a: ')
  })

  it('appear as a warning of doctor, and in backend test', async () => {
    await using at = await talkative()
    const { code, records } = await at.json('doctor')
    expect(code).toBe(0)
    const warnings = records.filter((record) => record.type === 'check' && record.result === 'warning')
    expect(warnings).toMatchObject([
      { check: 'backend a', message: 'the disk is nearly full; ***' },
      { check: 'backend a', message: expect.stringMatching(/^"stored-test-.*": could not be cleaned up$/) },
    ])
    expect((await at.stored('backend', 'test', 'a')).stderr).toContain('the disk is nearly full; ***\nconnected\n')
  })
})
