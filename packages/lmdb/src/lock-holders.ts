import { readFile, readlink, stat } from 'node:fs/promises'

/** A lock that a process holds on a file, in bytes, `end` included. */
export interface HeldLock {
  readonly pid: number
  readonly isExclusive: boolean
  readonly start: number
  readonly end: number
}

/** `1: POSIX  ADVISORY  READ 1234 fe:00:5678 0 EOF`; those that wait have an arrow. @see proc_locks(5) */
const LINE = /^\d+: (?:POSIX|OFDLCK) +\S+ +(READ|WRITE) +(-?\d+) ([0-9a-f]+):([0-9a-f]+):(\d+) (\d+) (\d+|EOF)$/gm

/** The locks on a file that other processes hold, as far as the system shows them to this one. */
export async function locksOf(file: string): Promise<HeldLock[]> {
  try {
    // Of another PID namespace, as in a half-made container: its numbers mean other processes.
    if ((await readlink('/proc/self')) !== String(process.pid)) return []
    const { dev, ino } = await stat(file, { bigint: true })
    const found: HeldLock[] = []
    for (const [, kind, pid, major, minor, inode, start, end] of (await readFile('/proc/locks', 'latin1')).matchAll(
      LINE,
    )) {
      const isOfFile = BigInt(inode as string) === ino && deviceOf(major as string, minor as string) === dev
      if (isOfFile && Number(pid) !== process.pid)
        found.push({
          pid: Number(pid),
          isExclusive: kind === 'WRITE',
          start: Number(start),
          end: end === 'EOF' ? Number.POSITIVE_INFINITY : Number(end),
        })
    }
    return found
  } catch {
    return []
  }
}

/** @see makedev(3), as glibc puts the two numbers together */
function deviceOf(major: string, minor: string): bigint {
  const [high, low] = [BigInt(`0x${major}`), BigInt(`0x${minor}`)]
  return ((high & 0xfffff000n) << 32n) | ((high & 0xfffn) << 8n) | ((low & 0xffffff00n) << 12n) | (low & 0xffn)
}
