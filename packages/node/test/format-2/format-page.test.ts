import { mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { gunzipSync } from 'node:zlib'
import { MemoryBackend } from '@stored/core/backend'
import { LmdbLedger } from '@stored/lmdb'
import { openStore, upgradeStore } from '@stored/node'
import { dumpOf } from '@stored/testing/rows/dump'
import { expect, test } from 'vitest'
import { temp } from '../temp.ts'
import type { Fixture } from './fixture.ts'

const PAGE = new URL('../../../../docs/formats/format-3.md', import.meta.url)
const ROW = /^\| `(\w+)` \| (?:`([^`]+)`|any) \|/gm

/** The tag of a row, or the name that it begins with. */
function kindOf(tree: string, key: Buffer): string {
  if (tree === 'meta') return key.toString().split('\0')[0] as string
  if (tree === 'blobs') return String.fromCharCode(key[33] as number)
  if (tree === 'keys') return String.fromCharCode(key[key.indexOf(0) + 1] as number)
  return String.fromCharCode(key[0] as number)
}

test('docs/formats/format-3.md names every kind of row of a store', async () => {
  await using dir = await temp()
  const at = path.join(dir.path, 'store')
  const { files } = JSON.parse(
    gunzipSync(await readFile(path.join(import.meta.dirname, 'last.json.gz'))).toString(),
  ) as Fixture
  await mkdir(path.join(at, 'staging'), { recursive: true })
  for (const [name, bytes] of Object.entries(files)) await writeFile(path.join(at, name), Buffer.from(bytes, 'base64'))
  await upgradeStore({ path: at })
  await (await openStore({ path: at, backends: { a: { backend: new MemoryBackend() } } })).close()
  const told = new Set(
    Array.from((await readFile(PAGE, 'utf8')).matchAll(ROW), ([, tree, kind]) => `${tree} ${kind ?? 'any'}`),
  )
  const ledger = await LmdbLedger.open({ path: at, reserve: 0 })
  const kinds = Object.entries(dumpOf(ledger)).flatMap(([tree, rows]) => rows.map(([key]) => [tree, kindOf(tree, key)]))
  await ledger.close()
  const untold = kinds.filter(([tree, kind]) => !told.has(`${tree} ${kind}`) && !told.has(`${tree} any`))
  expect([...new Set(untold.map((one) => one.join(' ')))]).toEqual([])
})
