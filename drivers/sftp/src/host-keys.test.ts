import { execFileSync } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { testDirectory } from '@stored/testing/directory'
import { describe, expect, it } from 'vitest'
import { fingerprintOf, knownKeysOf, loadHostKeys } from './host-keys.ts'

const [ONE, TWO] = [Buffer.from('one'), Buffer.from('two')]
const [one, two] = [ONE.toString('base64'), TWO.toString('base64')]
const accepted = (text: string, host = 'h', port = 22) => knownKeysOf(text, host, port).accepted.map(String)

describe('knownKeysOf()', () => {
  it('finds the keys of a host by name, port and pattern', () => {
    expect(accepted(`h ssh-ed25519 ${one}\nother ssh-ed25519 ${two}`)).toEqual(['one'])
    expect(accepted(`h,10.0.0.1 ssh-ed25519 ${one} a comment\n`)).toEqual(['one'])
    expect(accepted(`[h]:2222 ssh-ed25519 ${one}\nh ssh-ed25519 ${two}`, 'h', 2222)).toEqual(['one'])
    expect(accepted(`*.example.org ssh-rsa ${one}`, 'a.example.org')).toEqual(['one'])
    expect(accepted(`10.0.0.? ssh-rsa ${one}`, '10x0x0x1')).toEqual([])
  })

  it('leaves out a host that a pattern excludes', () => {
    expect(accepted(`!bad.example.org,*.example.org ssh-rsa ${one}`, 'bad.example.org')).toEqual([])
  })

  it('finds hashed names', () => {
    const digest = createHmac('sha1', 'salt').update('[h]:2222').digest('base64')
    const line = `|1|${Buffer.from('salt').toString('base64')}|${digest} ssh-ed25519 ${one}`
    expect(accepted(line, 'h', 2222)).toEqual(['one'])
    expect(accepted(line, 'h', 22)).toEqual([])
  })

  it('takes a pattern whose stars could be tried in more ways than there is time for', () => {
    const line = `${'*a'.repeat(30)}*b ssh-ed25519 ${one}`
    expect(accepted(line, 'a'.repeat(200))).toEqual([])
    expect(accepted(line, `${'a'.repeat(200)}b`)).toEqual(['one'])
  })

  it.each([
    ['*', 'h', true],
    ['**', 'h', true],
    ['h*', 'h', true],
    ['*.a.*', 'x.a.a.y', true],
    ['*a?c', 'abcabc', true],
    ['a?', 'a', false],
    ['?', 'ab', false],
    ['a*b', 'abc', false],
    ['', 'h', false],
    ['H.EXAMPLE', 'h.example', true],
    ['[h]:22*', '[h]:222', true],
    ['[h]', 'h', false],
  ])('for the pattern %s and the host %s returns %s', (pattern, host, fits) => {
    expect(accepted(`${pattern} ssh-ed25519 ${one}`, host)).toEqual(fits ? ['one'] : [])
  })

  it('skips a line with a pattern of kilobytes, as OpenSSH does', () => {
    expect(accepted(`h,${'*'.repeat(2_000)} ssh-ed25519 ${one}\nh ssh-ed25519 ${two}`)).toEqual(['two'])
  })

  it('skips comments, authorities and truncated lines', () => {
    expect(accepted(`# h ssh-ed25519 ${one}\n@cert-authority h ssh-ed25519 ${one}\nh ssh-ed25519\n\n`)).toEqual([])
  })

  it('separates revoked keys', () => {
    expect(knownKeysOf(`@revoked h ssh-ed25519 ${one}\nh ssh-ed25519 ${two}`, 'h', 22)).toEqual({
      accepted: [TWO],
      revoked: [ONE],
    })
  })
})

describe('loadHostKeys()', () => {
  const options = { host: 'h', port: 22 }
  const at = { backend: 'sftp', op: 'connect' }

  it('accepts the keys pinned by fingerprint, and no other', async () => {
    const { accepts } = await loadHostKeys({ ...options, hostFingerprint: `${fingerprintOf(ONE)}=` }, at)
    expect([accepts(ONE), accepts(TWO)]).toEqual([true, false])
  })

  it('is MISCONFIGURED if a file cannot be read, or does not contain the host', async () => {
    const missing = loadHostKeys({ ...options, knownHosts: '/nonexistent/known_hosts' }, at)
    await expect(missing).rejects.toMatchObject({ code: 'MISCONFIGURED' })
    const unknown = loadHostKeys({ ...options, knownHosts: '/dev/null' }, at)
    await expect(unknown).rejects.toThrow('/dev/null has no key of h')
  })

  it('is MISCONFIGURED for an endless file, or a pipe without a writer', async () => {
    const endless = loadHostKeys({ ...options, knownHosts: '/dev/zero' }, at)
    await expect(endless).rejects.toThrow(/MISCONFIGURED: \/dev\/zero is not a file of host keys/)
    const pipe = join(await testDirectory(), 'pipe')
    execFileSync('mkfifo', [pipe])
    await expect(loadHostKeys({ ...options, knownHosts: pipe }, at)).rejects.toMatchObject({ code: 'MISCONFIGURED' })
  })

  it('requests no key type that does not exist', async () => {
    const key = (kind: string) => Buffer.concat([Buffer.from([0, 0, 0, kind.length]), Buffer.from(kind)])
    const file = join(await testDirectory(), 'known_hosts')
    const keys = [Buffer.from('x'), key('ssh-new'), key('ssh-ed25519'), key('ssh-rsa')]
    await writeFile(file, keys.map((each) => `h kind ${each.toString('base64')}\n`).join(''))
    const { algorithms } = await loadHostKeys({ ...options, knownHosts: file }, at)
    expect(algorithms).toEqual(['ssh-ed25519', 'rsa-sha2-512', 'rsa-sha2-256'])
  })
})
