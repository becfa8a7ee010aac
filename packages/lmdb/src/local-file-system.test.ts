import { statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { describe, expect, test } from 'vitest'
import { requireLocalFileSystem } from './local-file-system.ts'

const refusal = (name: string) =>
  expect.objectContaining({ code: 'MISCONFIGURED', detail: expect.stringMatching(new RegExp(`\\b${name}\\b`)) })

describe('requireLocalFileSystem()', () => {
  test.each([
    ['NFS', 0x6969],
    ['SMB2', 0xfe534d42],
    ['CIFS', 0xff534d42],
    ['CIFS', 0xff534d42 | 0],
    ['9p', 0x01021997],
    ['FUSE', 0x65735546],
    ['AFS', 0x5346414f],
    ['Ceph', 0x00c36400],
  ])('refuses %s (%i) by name', (name, type) => {
    expect(() => requireLocalFileSystem(type, 'linux')).toThrow(refusal(name))
  })

  test.each([
    ['ext4', 0xef53],
    ['xfs', 0x58465342],
    ['btrfs', 0x9123683e],
    ['tmpfs', 0x01021994],
    ['overlayfs', 0x794c7630],
    ['ZFS', 0x2fc12fc1],
    ['one that nobody knows', 1],
  ])('passes %s', (_, type) => {
    expect(() => requireLocalFileSystem(type, 'linux')).not.toThrow()
  })

  test('passes the directory for temporary files of this machine', () => {
    expect(() => requireLocalFileSystem(statfsSync(tmpdir()).type)).not.toThrow()
  })

  test('knows no numbers of other systems', () => {
    expect(() => requireLocalFileSystem(0x6969, 'darwin')).not.toThrow()
  })
})
