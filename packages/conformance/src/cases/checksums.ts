import { createHash } from 'node:crypto'
import type { NativeChecksum, StorageErrorCode } from '@stored/core/backend'
import { type Ctx, defineCases, hook } from '../case.ts'
import { check, equal, rejects } from '../expect.ts'
import { collect } from '../source.ts'

/** What node:crypto can compute; the others are compared by the drivers that declare them. */
const KNOWN: readonly NativeChecksum[] = ['sha256', 'sha1', 'md5']

export const checksums = defineCases('ck', {
  flip: {
    title: 'get of a blob that lost a bit where it lies throws CHECKSUM_MISMATCH instead of its end',
    why: 'Disks forget; wrong bytes that are handed on replace the good copies elsewhere.',
    needs: hook('outsider'),
    run: (t) =>
      readsNothingWrong(t, (bytes) => bytes.with(bytes.length >> 1, (bytes[bytes.length >> 1] as number) ^ 1)),
  },
  cut: {
    title: 'get of a blob that was cut where it lies throws instead of its end',
    why: 'A file system that was full, or a crash, leaves files that are short and otherwise fine.',
    needs: hook('outsider'),
    run: (t) => readsNothingWrong(t, (bytes) => bytes.subarray(0, -10), ['SIZE_MISMATCH', 'UNAVAILABLE']),
  },
  native: {
    title: 'the declared checksums are the digests of the whole blob, for nothing, one part and three',
    why: 'A digest of the digests of parts looks like a checksum and matches nothing.',
    needs: (capabilities) => (capabilities.checksums?.length ? true : 'capability checksums is not declared'),
    proves: ['checksums'],
    async run(t) {
      const part = t.capabilities.limits?.partSize ?? 1 << 20
      for (const size of [0, part, 3 * part]) {
        await t.store.put(t.key('blob'), t.bytes(size), { size })
        await checkDigests(t, t.bytes(size))
      }
    },
  },
  'no-fake': {
    title: 'checksums that are not declared are not reported',
    why: 'An etag that happens to be an MD5 for small blobs is none for large ones.',
    async run(t) {
      await t.store.put(t.key('blob'), t.bytes(100))
      const { checksums = {} } = (await t.store.stat(t.key('blob'))) ?? {}
      const declared = t.capabilities.checksums ?? []
      for (const algorithm of Object.keys(checksums))
        check(
          declared.some((name) => name === algorithm),
          `checksum ${algorithm} is declared, since stat reports it`,
        )
    },
  },
})

/** Stores a blob, spoils it where it lies, and expects a read that knows its checksum to say so. */
async function readsNothingWrong(
  t: Ctx,
  spoil: (bytes: Uint8Array) => Uint8Array,
  alsoFine: readonly StorageErrorCode[] = [],
): Promise<void> {
  for (const size of [1_000, 1 << 20]) {
    const { sha256 } = await t.guard.put(t.key('blob'), t.bytes(size))
    await t.harness.outsider?.corrupt(t.key('blob'), spoil)
    const read = async () => collect((await t.guard.get(t.key('blob'), { sha256 })).body)
    await rejects(read(), ['CHECKSUM_MISMATCH', ...alsoFine], `the spoilt blob of ${size} bytes`)
  }
}

async function checkDigests(t: Ctx, bytes: Uint8Array): Promise<void> {
  const reported = (await t.store.stat(t.key('blob')))?.checksums ?? {}
  for (const algorithm of t.capabilities.checksums ?? []) {
    check(reported[algorithm] !== undefined, `stat reports the declared checksum ${algorithm} of ${bytes.length} bytes`)
    if (!KNOWN.includes(algorithm)) continue
    const digest = createHash(algorithm).update(bytes).digest('hex')
    equal(reported[algorithm], digest, `the ${algorithm} of ${bytes.length} bytes`)
  }
}
