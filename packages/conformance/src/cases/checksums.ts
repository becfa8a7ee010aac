import { createHash } from 'node:crypto'
import type { NativeChecksum, StorageErrorCode } from '@stored/core/backend'
import { type Ctx, defineCases, hook } from '../case.ts'
import { check, checkCode, equal, rejects, sameBytes, settle } from '../expect.ts'
import { collect } from '../source.ts'

/** The ones that node:crypto can compute; drivers that declare the others compare them. */
const KNOWN: readonly NativeChecksum[] = ['sha256', 'sha1', 'md5']

const FLIPPED_BYTES = 2 << 20

export const checksums = defineCases('ck', {
  digest: {
    title: 'put returns the SHA-256 of what it was given',
    why: 'It is the name of the blob from then on.',
    async run(t) {
      for (const size of [0, 1, 65_536, 1_000_000]) {
        const { sha256 } = await t.guard.put(t.key('blob'), t.bytes(size), { size })
        equal(sha256, sha256Of(t.bytes(size)), `the checksum of ${size} bytes`)
      }
    },
  },
  expected: {
    title: 'put of a body with another checksum than was expected rejects with CHECKSUM_MISMATCH, and changes nothing',
    why: 'A staged file may have lost a bit on its disk: the copy must not inherit that.',
    async run(t) {
      const sha256 = sha256Of(t.bytes(100_000, 1))
      const put = (name: string) => t.guard.put(t.key(name), t.bytes(100_000, 2), { sha256 })
      await rejects(put('blob'), 'CHECKSUM_MISMATCH', 'put')
      await t.lacks(t.key('blob'))
      await t.store.put(t.key('old'), t.bytes(1_000, 1))
      await rejects(put('old'), 'CHECKSUM_MISMATCH', 'the overwrite')
      await t.holds(t.key('old'), t.bytes(1_000, 1))
      await t.clean()
    },
  },
  range: {
    title: 'get says verified only of a whole blob whose checksum is known',
    why: 'A part has no checksum of its own: a caller that believes it was verified checks no further.',
    async run(t) {
      const { sha256 } = await t.guard.put(t.key('blob'), t.bytes(1_000))
      const whole = await t.guard.get(t.key('blob'), { sha256 })
      equal(whole.verified, true, 'verified of a whole blob')
      await collect(whole.body)
      const part = await t.guard.get(t.key('blob'), { offset: 10, length: 100, sha256 })
      equal(part.verified, false, 'verified of a range')
      await collect(part.body)
    },
  },
  wire: {
    title: 'a byte that is changed on its way to or from the server is an error, of the put or of the get',
    why: "TCP's checksum has 16 bits, and a proxy in between computes a new one.",
    needs: hook('endpoint'),
    async run(t) {
      const [key, bytes] = [t.key('blob'), t.bytes(FLIPPED_BYTES)]
      const { guard, proxy } = await t.through({ retries: 0, idleTimeoutMs: 10_000 })
      const sha256 = sha256Of(bytes)
      const readWhole = async () => collect((await guard.get(key, { sha256 })).body)
      proxy.flip(FLIPPED_BYTES / 2, 'up')
      const put = await settle(guard.put(key, bytes, { size: bytes.length }))
      check(proxy.struck, 'the byte was changed on its way up')
      if (put.status === 'fulfilled') await rejects(readWhole(), 'CHECKSUM_MISMATCH', 'the blob that was stored wrong')
      await t.store.put(key, bytes)
      proxy.flip(FLIPPED_BYTES / 2, 'down')
      const read = await settle(readWhole())
      check(proxy.struck, 'the byte was changed on its way down')
      // If the connection itself detects damage, it breaks, and the body may resume from there.
      if (read.status === 'fulfilled') sameBytes(t.seed, read.value, bytes, 'the blob of which a byte was changed')
      else checkCode(read.reason, ['CHECKSUM_MISMATCH', 'UNAVAILABLE'], 'the blob that was read wrong')
      sameBytes(t.seed, await readWhole(), bytes, 'the blob read again')
    },
  },
  flip: {
    title: 'get of a blob that lost a bit at rest throws CHECKSUM_MISMATCH instead of its end',
    why: 'Disks decay; wrong bytes that are passed on replace the good copies elsewhere.',
    needs: hook('outsider'),
    run: (t) =>
      readsNothingWrong(t, (bytes) => bytes.with(bytes.length >> 1, (bytes[bytes.length >> 1] as number) ^ 1), [
        'CORRUPT',
      ]),
  },
  cut: {
    title: 'get of a blob that was truncated at rest throws instead of its end',
    why: 'A full file system or a crash leaves files that are short but otherwise fine.',
    needs: hook('outsider'),
    run: (t) => readsNothingWrong(t, (bytes) => bytes.subarray(0, -10), ['SIZE_MISMATCH', 'UNAVAILABLE', 'CORRUPT']),
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
    why: 'An etag that happens to be an MD5 for small blobs is not one for large ones.',
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

/** Stores a blob, damages it at rest, and expects a read that knows its checksum to detect that. */
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

function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
