import { describe, expect, it } from 'vitest'
import { place } from './place.ts'

const ID = 'sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824'

describe.concurrent('link', () => {
  it('gives a blob another key, by a key or its id, and prints its id', async () => {
    await using at = await place()
    await at.open((store) => store.put(Buffer.from('hello'), { key: 'one.txt', metadata: { by: 'me' } }))
    for (const [key, name] of [
      ['two', 'one.txt'],
      ['three', ID],
    ] as const)
      expect(await at.stored('link', key, name)).toMatchObject({ code: 0, stdout: `${ID}  ${key}\n`, stderr: '' })
    await at.open(async (store) => {
      expect((await store.get('two')).toString()).toBe('hello')
      expect(await store.stat('two')).toMatchObject({ mimeType: 'text/plain', custom: { by: 'me' } })
    })
  })

  it('--json prints a record', async () => {
    await using at = await place()
    await at.open((store) => store.put(Buffer.from('hello'), { key: 'one.txt' }))
    const { stdout } = await at.stored('link', 'two', 'one.txt', '--json')
    expect(
      stdout
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line)),
    ).toContainEqual(expect.objectContaining({ type: 'link', key: 'two', id: ID, size: 5 }))
  })

  it('of a name that is unknown ends with 4, of a taken key with --if-absent with another error, and --dry-run changes nothing', async () => {
    await using at = await place()
    await at.open((store) => store.put(Buffer.from('hello'), { key: 'one.txt' }))
    expect(await at.stored('link', 'two', 'none')).toMatchObject({ code: 4 })
    expect((await at.stored('link', 'one.txt', ID, '--if-absent')).code).not.toBe(0)
    expect(await at.stored('link', 'two', ID, '--dry-run')).toMatchObject({
      code: 0,
      stdout: `would link two to ${ID}\n`,
    })
    await at.open(async (store) => expect(await store.has('two')).toBe(false))
  })
})
