import fs from 'node:fs'
import { dirname, join, parse, sep } from 'node:path'
import type { Address } from '@stored/core/backend'

/** The number of links that Linux follows on one path. */
const MOST_LINKS = 40
/** File systems served by another machine or a program, which may be away: touching one of them might block forever. */
const REMOTE = /^(nfs|nfs4|cifs|smb3|smbfs|9p|afs|ceph|coda|glusterfs|lustre|fuse(\..*)?|fuseblk|autofs)$/

/**
 * The location of the directory at `path`, which is absolute: links are followed as far as they exist. What is below
 * the mount point of a remote file system is taken literally.
 */
export function addressOf(path: string): Address {
  const real = follow(path, remoteMounts())
  return { host: 'file', path: real.endsWith(sep) ? real : `${real}${sep}` }
}

function follow(path: string, remote: ReadonlySet<string>): string {
  let links = 0
  let { root: real } = parse(path)
  let rest = namesOf(path)
  for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
    if (name === '..') {
      real = dirname(real)
      continue
    }
    const here = join(real, name)
    const target = remote.has(here) ? null : linkAt(here)
    if (remote.has(here) || target === undefined || links === MOST_LINKS) return join(here, ...rest)
    if (target === null) {
      real = here
      continue
    }
    links += 1
    if (parse(target).root !== '') real = parse(target).root
    rest = [...namesOf(target), ...rest]
  }
  return real
}

function namesOf(path: string): string[] {
  return path
    .slice(parse(path).root.length)
    .split(sep)
    .filter((name) => name !== '' && name !== '.')
}

/** Where the link at `path` leads; `null`: it is not a link · `undefined`: nothing can be seen there. */
function linkAt(path: string): string | null | undefined {
  try {
    return fs.lstatSync(path).isSymbolicLink() ? fs.readlinkSync(path) : null
  } catch {
    return undefined
  }
}

/** @see proc(5), /proc/pid/mountinfo. Empty on systems without it. */
function remoteMounts(): ReadonlySet<string> {
  try {
    const lines = fs.readFileSync('/proc/self/mountinfo', 'utf8').split('\n')
    return new Set(lines.flatMap(remoteMountOf))
  } catch {
    return new Set()
  }
}

function remoteMountOf(line: string): string[] {
  const [mount = '', source = ''] = line.split(' - ')
  const [type = ''] = source.split(' ')
  const point = mount.split(' ')[4]
  if (point === undefined || !REMOTE.test(type)) return []
  return [point.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))]
}
