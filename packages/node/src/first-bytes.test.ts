import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { filetypemime } from 'magic-bytes.js'
import { createTree } from 'magic-bytes.js/dist/model/pattern-tree.js'
import type { Node } from 'magic-bytes.js/dist/model/tree.js'
import { expect, test } from 'vitest'
import { mayMatch } from './first-bytes.ts'

/** Every way through the table of the matcher: each prefix of a signature, at its offset. */
function* signatures({ bytes }: Node, offset: number, before: readonly number[] = []): Generator<Uint8Array> {
  for (const [name, node] of Object.entries(bytes)) {
    const path = [...before, name === '?' ? 0xa7 : Number(name)]
    yield Buffer.concat([Buffer.alloc(offset, 0xff), Buffer.from(path)])
    yield* signatures(node, offset, path)
  }
}

const { noOffset, offset } = createTree()
const CORPUS = [
  ...(noOffset ? signatures(noOffset, 0) : []),
  ...Object.entries(offset).flatMap(([at, node]) => [...signatures(node, Number(at))]),
]

/** What is left out must be what the matcher finds nothing in. */
function expectSame(head: Uint8Array): void {
  if (!mayMatch(head)) expect({ head, found: filetypemime(head) }).toEqual({ head, found: [] })
}

test('no signature of the matcher is left out, whole, cut, or with other bytes behind it', () => {
  expect(CORPUS.length).toBeGreaterThan(500)
  for (const bytes of CORPUS) {
    expectSame(bytes)
    expectSame(Buffer.concat([bytes, randomBytes(600)]))
  }
})

test('nor is anything else that it knows', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 600 }),
    fc.tuple(fc.constantFrom(...CORPUS), fc.nat(), fc.nat(255)).map(([signature, at, byte]) => {
      const changed = Buffer.from(signature)
      changed[at % changed.length] = byte
      return changed
    }),
  )
  fc.assert(fc.property(bytes, expectSame), { numRuns: 2_000 })
})

test('every pair of first bytes gives what the matcher gives', () => {
  const head = Buffer.alloc(300, 0xff)
  for (let pair = 0; pair < 65_536; pair++) {
    head.writeUInt16BE(pair)
    if (!mayMatch(head)) expect(filetypemime(head)).toEqual([])
  }
})

test('of random bytes it lets less than a tenth through', () => {
  const heads = Array.from({ length: 2_000 }, () => randomBytes(4_100))
  expect(heads.filter(mayMatch).length).toBeLessThan(200)
})
