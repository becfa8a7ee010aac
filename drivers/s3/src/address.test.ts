import { overlapOf } from '@stored/core/backend'
import { describe, expect, it } from 'vitest'
import { addressOf } from './address.ts'
import { parseOptions, type S3BackendOptions } from './options.ts'

function overlap(one: S3BackendOptions, other: S3BackendOptions) {
  return overlapOf(addressOf(parseOptions(one)), addressOf(parseOptions(other)))
}

describe('addressOf()', () => {
  const bucket = 'photos'
  const endpoint = 'http://minio:9000'
  it.each<[string, S3BackendOptions, S3BackendOptions, string | null]>([
    ['one bucket twice', { bucket, endpoint }, { bucket, endpoint: 'http://MINIO:9000/' }, 'same'],
    [
      'one bucket of AWS by region and by endpoint',
      { bucket, region: 'eu-west-1' },
      { bucket, endpoint: 'https://s3.eu-west-1.amazonaws.com' },
      'same',
    ],
    ['one bucket with two accounts', { bucket }, { bucket, accessKeyId: 'a', secretAccessKey: 'b' }, 'same'],
    ['a prefix in a bucket', { bucket, endpoint }, { bucket, endpoint, prefix: 'a/' }, 'around'],
    ['prefixes without a slash', { bucket, endpoint, prefix: 'ab' }, { bucket, endpoint, prefix: 'a' }, 'inside'],
    ['two prefixes', { bucket, endpoint, prefix: 'a/' }, { bucket, endpoint, prefix: 'b/' }, null],
    ['two buckets', { bucket, endpoint }, { bucket: 'videos', endpoint }, null],
    ['two ports', { bucket, endpoint }, { bucket, endpoint: 'http://minio:9001' }, null],
    [
      'one bucket below a path',
      { bucket, endpoint: 'https://h/storage/v1/s3' },
      { bucket, endpoint: 'https://h/storage/v1/s3/' },
      'same',
    ],
    ['two paths', { bucket, endpoint: 'https://h/a' }, { bucket, endpoint: 'https://h/b' }, null],
    [
      'a path that is the name of a bucket',
      { bucket, endpoint: 'https://h' },
      { bucket, endpoint: 'https://h/a' },
      null,
    ],
    ['AWS and another service', { bucket }, { bucket, endpoint }, null],
  ])('%s', (_, one, other, expected) => {
    expect(overlap(one, other)).toBe(expected)
  })
})
