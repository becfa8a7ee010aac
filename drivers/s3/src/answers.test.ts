import { describe, expect, it } from 'vitest'
import { type Answer, Answers } from './answers.ts'

const HTML = { 'content-type': 'text/html; charset=utf-8' }
const XML = { 'content-type': 'application/xml' }
const ETAG = '"etag"'

/** Whether a response counts as one of S3. */
function takes(
  answers: Answers,
  command: `${string}Command`,
  headers: Answer['headers'],
  output = {},
  statusCode = 200,
) {
  try {
    answers.accept(command, { statusCode, headers }, output)
    return true
  } catch (error) {
    expect(error).toMatchObject({ name: 'NotS3', status: statusCode })
    return false
  }
}

describe('accept', () => {
  // Responses to a PutObject; those of R2 and of the last service are known only from reports by others.
  it.each([
    ['AWS', { 'x-amz-id-2': 'Uuag', 'x-amz-request-id': 'A1B2' }],
    ['Ceph', { 'x-amz-request-id': 'tx000' }],
    ['Google', { 'x-guploader-uploadid': 'ABg5', 'x-goog-hash': 'crc32c=' }],
    ['R2', { 'cf-ray': '7d2-FRA', server: 'cloudflare' }],
    ['one that sends no request ids', {}],
  ])('accepts what %s sends', (_, headers) => {
    const answers = new Answers()
    for (let i = 0; i < 2; i++) {
      expect(takes(answers, 'PutObjectCommand', headers, { ETag: ETAG })).toBe(true)
      expect(takes(answers, 'DeleteObjectCommand', headers, {}, 204)).toBe(true)
      expect(takes(answers, 'ListObjectsV2Command', { ...headers, ...XML }, { IsTruncated: false })).toBe(true)
      expect(takes(answers, 'GetObjectCommand', { ...headers, ...HTML }, { ETag: ETAG })).toBe(true)
    }
  })

  it.each([
    ['PutObjectCommand', HTML, { ETag: ETAG }, 200],
    ['PutObjectCommand', {}, {}, 200],
    ['UploadPartCommand', {}, {}, 200],
    ['GetObjectCommand', HTML, {}, 200],
    ['HeadObjectCommand', HTML, {}, 200],
    ['DeleteObjectCommand', {}, {}, 200],
    ['AbortMultipartUploadCommand', {}, {}, 200],
    ['DeleteObjectsCommand', HTML, {}, 200],
    ['ListObjectsV2Command', XML, {}, 200],
    ['ListMultipartUploadsCommand', HTML, {}, 200],
    ['CreateMultipartUploadCommand', XML, {}, 200],
    ['CompleteMultipartUploadCommand', XML, {}, 200],
    ['CopyObjectCommand', XML, {}, 200],
  ] as const)('does not accept as an answer to %s what shows %o, %o and %i', (command, headers, output, status) => {
    expect(takes(new Answers(), command, headers, output, status)).toBe(false)
  })

  it('takes nothing without a number from a service that numbers its answers', () => {
    const answers = new Answers()
    expect(takes(answers, 'PutObjectCommand', { 'x-amz-request-id': '1' }, { ETag: ETAG })).toBe(true)
    // Like a web server that sends the same file for every request.
    for (const command of ['GetObjectCommand', 'HeadObjectCommand', 'PutObjectCommand'] as const)
      expect(takes(answers, command, { 'x-amz-id-2': '1' }, { ETag: ETAG })).toBe(false)
    expect(takes(answers, 'DeleteObjectCommand', {}, {}, 204)).toBe(false)
  })

  it('accepts it again once the service has been seen to send none', () => {
    const answers = new Answers()
    expect(takes(answers, 'PutObjectCommand', { 'x-amz-request-id': '1' }, { ETag: ETAG })).toBe(true)
    expect(takes(answers, 'ListObjectsV2Command', XML, { IsTruncated: false })).toBe(true)
    expect(takes(answers, 'GetObjectCommand', {}, { ETag: ETAG })).toBe(true)
  })
})

describe('refused', () => {
  const error = new Error('UnknownError')

  it('accepts a refusal with an S3 code, or with a request id', () => {
    const coded = Object.assign(new Error('there is none'), { Code: 'NoSuchKey' })
    expect(new Answers().refused(coded, { statusCode: 404, headers: XML })).toBe(coded)
    const headers = { 'x-amz-request-id': '1' }
    expect(new Answers().refused(error, { statusCode: 403, headers })).toBe(error)
  })

  it('accepts no other, and no success that cannot be parsed', () => {
    const headers = { ...HTML, location: 'https://portal.example/login?token=secret' }
    expect(new Answers().refused(error, { statusCode: 302, headers })).toMatchObject({
      name: 'NotS3',
      message: 'HTTP 302, text/html; charset=utf-8, leads to portal.example',
    })
    const numbered = { 'x-amz-request-id': '1' }
    expect(new Answers().refused(error, { statusCode: 200, headers: numbered })).toMatchObject({ name: 'NotS3' })
  })
})
