import type { S3Client } from '@aws-sdk/client-s3'

/** Services refuse what was signed a quarter of an hour before or after their time; the difference that the SDK calls a skew. */
const SKEW_MS = 4 * 60_000
/** What a refused signature is answered with: a HEAD has no body that would say more. */
const REFUSALS: readonly (number | undefined)[] = [400, 401, 403]

/** A failure that came with an answer. */
interface Refusal {
  readonly name?: unknown
  readonly $metadata?: { readonly httpStatusCode?: number }
  readonly $response?: { readonly headers?: Readonly<Record<string, string | undefined>> }
}

/** What requests are signed with, now: the time of the service as far as it is known. In milliseconds since the epoch. */
export function signingTime(s3: S3Client): number {
  return Date.now() + s3.config.systemClockOffset
}

/**
 * Whether a request was refused for the time that it was signed with. The clock of this machine may have been set right since the
 * service's was asked for, as well as wrong: only the two times themselves tell, not how far the clocks are apart now.
 *
 * @param signed What it was signed with.
 */
export function isSkewed(error: unknown, signed: number): boolean {
  const refusal = error as Refusal
  if (refusal.name === 'RequestTimeTooSkewed' || refusal.name === 'RequestExpired') return true
  const time = timeOf(refusal)
  return REFUSALS.includes(refusal.$metadata?.httpStatusCode) && time !== null && Math.abs(time - signed) >= SKEW_MS
}

/** Has later requests signed with the time of the service that refused one. */
export function takeTimeOf(s3: S3Client, error: unknown): void {
  const time = timeOf(error as Refusal)
  if (time !== null) s3.config.systemClockOffset = time - Date.now()
}

function timeOf({ $response: { headers = {} } = {} }: Refusal): number | null {
  // From a cache, it was the time some time ago.
  if (headers.age !== undefined) return null
  const time = Date.parse(headers.date ?? '')
  return Number.isNaN(time) ? null : time
}
