import { describe, expect, it } from 'vitest'
import { flavorOf, isDirectoryBucket } from './flavors.ts'

describe('flavorOf', () => {
  it("takes no endpoint, and Amazon's endpoints, for AWS", () => {
    expect(flavorOf(undefined)).toBe('aws')
    expect(flavorOf('https://s3.eu-central-1.amazonaws.com')).toBe('aws')
    expect(flavorOf('https://s3.cn-north-1.amazonaws.com.cn')).toBe('aws')
  })

  it('recognizes R2 by its name', () => {
    expect(flavorOf('https://0123.r2.cloudflarestorage.com')).toBe('r2')
  })

  it('assumes nothing about others, even if they look alike', () => {
    expect(flavorOf('http://127.0.0.1:9000')).toBe('generic')
    expect(flavorOf('https://amazonaws.com.example.org')).toBe('generic')
    expect(flavorOf('https://notamazonaws.com')).toBe('generic')
  })
})

describe('isDirectoryBucket', () => {
  it('recognizes one by the end of its name', () => {
    expect(isDirectoryBucket('photos--euc1-az1--x-s3')).toBe(true)
    expect(isDirectoryBucket('photos')).toBe(false)
  })
})
