import { createHmac, hash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { Identity } from '../src/index.ts'

interface Signed {
  readonly method: string
  /** Including the query. */
  readonly path: string
  readonly headers: IncomingHttpHeaders
}

/**
 * Makes a service that answers at the root appear below `base`, like Supabase's: requests must be signed with the whole
 * path, and are forwarded signed without `base`. Both are computed here, from nothing but the specification.
 *
 * @returns What to forward; `null` if the signature differs.
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 */
export function throughDoor(request: Signed, base: string, identity: Identity): Signed | null {
  const { path, headers } = request
  const [, given = ''] = /Signature=([0-9a-f]{64})/.exec(`${headers.authorization} ${path}`) ?? []
  if (!path.startsWith(`${base}/`) || given !== signatureOf(request, identity)) return null
  const inner = { ...request, path: path.slice(base.length) }
  const signature = signatureOf(inner, identity)
  const authorization = headers.authorization?.replace(given, signature)
  return {
    ...inner,
    path: inner.path.replace(given, signature),
    headers: { ...headers, ...(authorization !== undefined && { authorization }) },
  }
}

function signatureOf({ method, path, headers }: Signed, { secretAccessKey }: Identity): string {
  const [pathname = '', search = ''] = path.split('?')
  const query = new Map(
    search.split('&').map((pair): [string, string] => [pair.split('=')[0] ?? '', pair.split('=')[1] ?? '']),
  )
  const said = (name: string) => decodeURIComponent(query.get(name) ?? '')
  const { authorization = `Credential=${said('X-Amz-Credential')}, SignedHeaders=${said('X-Amz-SignedHeaders')},` } =
    headers
  const [, scope = ''] = /Credential=[^/]+\/([^,]+)/.exec(authorization) ?? []
  const [, names = ''] = /SignedHeaders=([^,]+)/.exec(authorization) ?? []
  const canonical = [
    method,
    pathname,
    canonicalQuery(query),
    ...names.split(';').map((name) => `${name}:${String(headers[name]).trim().replace(/ +/g, ' ')}`),
    '',
    names,
    headers['x-amz-content-sha256'] ?? 'UNSIGNED-PAYLOAD',
  ].join('\n')
  const time = headers['x-amz-date'] ?? said('X-Amz-Date')
  const text = ['AWS4-HMAC-SHA256', time, scope, hash('sha256', canonical)].join('\n')
  const key = scope.split('/').reduce<string | Buffer>((former, part) => hmac(former, part), `AWS4${secretAccessKey}`)
  return hmac(key, text).toString('hex')
}

function canonicalQuery(query: ReadonlyMap<string, string>): string {
  const pairs = [...query].filter(([name]) => name !== '' && name !== 'X-Amz-Signature')
  return pairs
    .map(([name, value]) => `${name}=${value}`)
    .sort()
    .join('&')
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}
