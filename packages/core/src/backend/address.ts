/** Where a medium is, as far as that is known without asking it. */
export interface Address {
  /** The host of the medium: `file`, `s3:eu.example.com/photos`, `sftp:example.org:22`. Never a secret. */
  readonly host: string
  /** The start of every blob's path there: `/mnt/usb/` or `backup/`. Compared as it is. */
  readonly path: string
}

/**
 * How two addresses overlap. If they do, what is stored in one is found in both, and removing it loses both.
 *
 * @returns `null` if they are apart, or if one of them is unknown.
 */
export function overlapOf(one: Address | undefined, other: Address | undefined): 'same' | 'inside' | 'around' | null {
  if (one === undefined || other === undefined || one.host !== other.host) return null
  if (one.path === other.path) return 'same'
  if (one.path.startsWith(other.path)) return 'inside'
  return other.path.startsWith(one.path) ? 'around' : null
}
