import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { parseOptions } from './options.ts'

function refusalOf(options: unknown): string {
  try {
    parseOptions(options)
  } catch (error) {
    return inspect(error)
  }
  throw new Error('it was accepted')
}

const BAD: readonly [string, unknown, string][] = [
  ['no bucket', {}, '"bucket"'],
  ['a bucket with a slash', { bucket: 'a/b' }, '"bucket"'],
  ['a misspelt option', { bucket: 'photos', regoin: 'x' }, 'did you mean "region"'],
  ['an endpoint without a protocol', { bucket: 'photos', endpoint: 'minio:9000' }, '"endpoint"'],
  ['an endpoint with a query', { bucket: 'photos', endpoint: 'http://host/s3?a=b' }, '"endpoint"'],
  ['an endpoint with a fragment', { bucket: 'photos', endpoint: 'http://host/s3#a' }, '"endpoint"'],
  ['an endpoint whose path has to be escaped', { bucket: 'photos', endpoint: 'http://host/a b' }, '"endpoint"'],
  ['an endpoint with an empty segment', { bucket: 'photos', endpoint: 'http://host/a//b' }, '"endpoint"'],
  [
    'the endpoint of R2 with its bucket',
    { bucket: 'photos', endpoint: 'https://id.r2.cloudflarestorage.com/photos' },
    'also without path',
  ],
  ['the endpoint of AWS with its bucket', { bucket: 'photos', endpoint: 'https://s3.amazonaws.com/photos' }, 'of AWS'],
  [
    'an unknown flavor',
    { bucket: 'photos', flavor: 'gcs' },
    '"flavor" must be "aws", "r2", "minio", "ceph" or "generic", not "gcs"',
  ],
  ['parts that are too small', { bucket: 'photos', partSize: 1024 }, '"partSize"'],
  ['a prefix that begins with a slash', { bucket: 'photos', prefix: '/a' }, '"prefix"'],
  ['half of the credentials', { bucket: 'photos', accessKeyId: 'a' }, 'must be given together'],
  ['two kinds of credentials', { bucket: 'photos', accessKeyId: 'a', credentials: () => {} }, 'exclude each other'],
  ['credentials without a secret', { bucket: 'photos', credentials: { accessKeyId: 'a' } }, '"credentials"'],
  ['no object', 'photos', 'options must be an object'],
]

describe('parseOptions', () => {
  for (const [what, options, says] of BAD)
    it(`refuses ${what}, and says so`, () => {
      expect(() => parseOptions(options)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
      expect(() => parseOptions(options)).toThrow(says)
    })

  it('shows neither a secret nor an endpoint with a password', () => {
    const secret = 'hunter2-hunter2'
    for (const options of [
      { bucket: 'photos', secretAccessKey: secret },
      { bucket: 'photos', accessKeyId: 'a', secretAccessKey: [secret] },
      { bucket: 'photos', credentials: secret },
      { bucket: 'photos', endpoint: `https://user:${secret}@host` },
    ])
      expect(refusalOf(options)).not.toContain(secret)
  })

  it('accepts an endpoint below a path, with or without a trailing slash', () => {
    for (const endpoint of ['https://id.supabase.co/storage/v1/s3', 'https://id.supabase.co/storage/v1/s3/'])
      expect(parseOptions({ bucket: 'photos', endpoint }).endpoint).toBe('https://id.supabase.co/storage/v1/s3')
  })

  it('accepts the bucket alone', () => {
    expect(parseOptions({ bucket: 'photos' })).toEqual({
      bucket: 'photos',
      flavor: 'aws',
      prefix: '',
      partSize: 8 << 20,
    })
  })
})
