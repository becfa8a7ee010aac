import type { S3Client } from '@aws-sdk/client-s3'

/** Services refuse requests signed a quarter of an hour off; this is the difference that the SDK calls a skew. */
const SKEW_MS = 4 * 60_000
/** The statuses of a refused signature: a HEAD has no body that would say more. */
const REFUSALS: readonly (number | undefined)[] = [400, 401, 403]

/** A failure with a response. */
interface Refusal {
  readonly name?: unknown
  readonly $metadata?: { readonly httpStatusCode?: number }
  readonly $response?: { readonly headers?: Readonly<Record<string, string | undefined>> }
}

/** The current signing time: that of the service, as far as it is known. In milliseconds since the epoch. */
export function signingTime(s3: S3Client): number {
  return Date.now() + s3.config.systemClockOffset
}

/**
 * Whether a request was refused for its signing time. The clock of this machine may since have been corrected, or set
 * wrong, so only the two times themselves tell, not the current difference of the clocks.
 *
 * @param signed The signing time.
 */
export function isSkewed(error: unknown, signed: number): boolean {
  const refusal = error as Refusal
  if (refusal.name === 'RequestTimeTooSkewed' || refusal.name === 'RequestExpired') return true
  const time = timeOf(refusal)
  return REFUSALS.includes(refusal.$metadata?.httpStatusCode) && time !== null && Math.abs(time - signed) >= SKEW_MS
}

/** Signs later requests with the time of the service that refused one. */
export function takeTimeOf(s3: S3Client, error: unknown): void {
  const time = timeOf(error as Refusal)
  if (time !== null) s3.config.systemClockOffset = time - Date.now()
}

function timeOf({ $response: { headers = {} } = {} }: Refusal): number | null {
  // A cached response carries an old time.
  if (headers.age !== undefined) return null
  const time = Date.parse(headers.date ?? '')
  return Number.isNaN(time) ? null : time
}
