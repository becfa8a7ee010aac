import type { Stat } from '@stored/core/backend'
import type { Ctx } from '../case.ts'
import type { ChaosProxy } from '../chaos-proxy.ts'
import { check, checkCode, eventually, settle, started } from '../expect.ts'
import { HeldSource } from '../source.ts'
import type { SubjectPutOptions } from '../subject.ts'

/** How soon a call hit by a fault must have ended. */
export const SETTLE_MS = 10_000
/** How soon a server has noticed that a connection is gone. */
const NOTICE_MS = 2_000
/** Where a response breaks off: at once, after what HTTP sends before the body (`100 Continue`), and in the middle. */
export const REPLY_CUTS = [0, 30, 100] as const

/**
 * Expects that a put that met a fault either resolved and its blob is there, or rejected as retryable and its blob is
 * absent, or is there whole and the error is `ambiguous`.
 */
export async function wholeOrAbsent(
  t: Ctx,
  key: string,
  bytes: Uint8Array,
  outcome: PromiseSettledResult<Stat>,
): Promise<void> {
  if (outcome.status === 'fulfilled') return t.holds(key, bytes)
  const error = checkCode(outcome.reason, ['UNAVAILABLE', 'TIMEOUT', 'CONFLICT', 'RATE_LIMITED'], 'the put')
  check(error.retryable, 'the error says that the put may be tried again')
  if (error.ambiguous && (await t.store.stat(key)) !== null) return t.holds(key, bytes)
  // The server may notice only after the client that the connection is gone.
  await eventually(async () => (await t.store.stat(key)) === null, NOTICE_MS, 'the put that failed has stored nothing')
  await t.lacks(key)
}

/** A put whose connection breaks after all of its body was read and this many bytes of the response have passed. */
export async function putWithoutReply(
  t: Ctx,
  key: string,
  bytes: Uint8Array,
  { after, ...options }: SubjectPutOptions & { after: number },
): Promise<PromiseSettledResult<Stat>> {
  const { guard, proxy } = await t.through()
  const source = new HeldSource([bytes], 1)
  const put = started(guard.put(key, source, { size: bytes.length, ...options }))
  await source.reachedBy(put)
  proxy.cutAfter(after, 'down')
  source.release()
  return settle(put)
}

/** A put whose connection breaks after this many bytes of it. */
export async function putCutAfter(
  t: Ctx,
  proxy: ChaosProxy,
  at: number,
  put: () => Promise<Stat>,
): Promise<PromiseSettledResult<Stat>> {
  proxy.cutAfter(at, 'up')
  const outcome = await settle(put())
  proxy.heal()
  t.signal.throwIfAborted()
  return outcome
}
