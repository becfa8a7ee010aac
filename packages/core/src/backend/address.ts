/** Where a medium is, as far as that can be said without asking it. */
export interface Address {
  /** What keeps it: `file`, `s3:eu.example.com/photos`, `sftp:example.org:22`. Never a secret. */
  readonly host: string
  /** Where the blobs lie there: what every path of one begins with, `/mnt/usb/` or `backup/`. Compared as it is. */
  readonly path: string
}

/**
 * How `one` lies to `other`: what is stored in one of them is then found in both, and lost to both when it is removed.
 *
 * @returns `null` when they are apart, or nothing is known of one of them.
 */
export function overlapOf(one: Address | undefined, other: Address | undefined): 'same' | 'inside' | 'around' | null {
  if (one === undefined || other === undefined || one.host !== other.host) return null
  if (one.path === other.path) return 'same'
  if (one.path.startsWith(other.path)) return 'inside'
  return other.path.startsWith(one.path) ? 'around' : null
}
