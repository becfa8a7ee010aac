import { readFileSync } from 'node:fs'

/**
 * Names the time since the machine was started; `undefined` where nothing tells. Read at once: the kernel makes the answer up from
 * memory.
 *
 * @see random(4), boot_id
 */
export function bootId(): string | undefined {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim() || undefined
  } catch {
    // No Linux, or a container without /proc: each crash then looks like one of the process alone.
    return undefined
  }
}
