import { createSecretKey, type KeyObject } from 'node:crypto'
import type { SFTPWrapper } from 'ssh2'

/** Internals of ssh2: the AES-GCM keys, from which it makes a cipher for each packet of 32 KiB. */
interface Internals {
  readonly _protocol?: {
    readonly _cipher?: { _encKey?: Buffer | KeyObject }
    readonly _decipher?: { _decipherKey?: Buffer | KeyObject }
  }
}

/**
 * Makes ssh2 encrypt and decrypt with KeyObjects instead of bytes. Node.js 24 finds out that bytes are not a KeyObject
 * by one or two exceptions for each cipher, which is a third of the time that a packet takes (measured). Does nothing
 * if ssh2 keeps no such keys, or after a rekey, which OpenSSH does every 64 GiB.
 */
export function prepareKeys(sftp: SFTPWrapper): void {
  const { _cipher: cipher, _decipher: decipher } = (sftp as unknown as Internals)._protocol ?? {}
  if (Buffer.isBuffer(cipher?._encKey)) cipher._encKey = createSecretKey(cipher._encKey)
  if (Buffer.isBuffer(decipher?._decipherKey)) decipher._decipherKey = createSecretKey(decipher._decipherKey)
}
