import { StorageError } from '@stored/core/backend'

/** Where locks and mapped memory of LMDB are not shared with other hosts, or with nobody. @see statfs(2), and linux/magic.h */
const NETWORK: ReadonlyMap<number, string> = new Map([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB2'],
  [0x01021997, '9p'],
  [0x65735546, 'FUSE'],
  [0x5346414f, 'AFS'],
  [0x6b414653, 'kAFS'],
  [0x00c36400, 'Ceph'],
  [0x73757245, 'Coda'],
  [0x564c, 'NCP'],
  [0x0bd00bd0, 'Lustre'],
  [0x01161970, 'GFS2'],
  [0x7461636f, 'OCFS2'],
  [0x47504653, 'GPFS'],
  [0x19830326, 'BeeGFS'],
  [0xaad7aaea, 'PanFS'],
])

/**
 * @param type Of the file system, as statfs tells it.
 * @throws {StorageError} MISCONFIGURED: it is a network or FUSE file system.
 */
export function requireLocalFileSystem(type: number, platform: NodeJS.Platform = process.platform): void {
  // The numbers of other systems mean something else.
  if (platform !== 'linux') return
  // Where statfs has 32 bits, the upper half of the numbers comes out negative.
  const name = NETWORK.get(type >>> 0)
  if (name === undefined) return
  throw new StorageError(
    'MISCONFIGURED',
    { op: 'open' },
    { detail: `the store is on ${name}; put it on a local disk, or set allowNetworkFileSystem` },
  )
}
