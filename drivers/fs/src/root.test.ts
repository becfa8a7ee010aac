import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { testDirectory } from '@stored/testing/directory'
import { expect, it } from 'vitest'
import type { Medium } from './medium.ts'
import { Pace } from './pace.ts'
import { Root } from './root.ts'

const EXACT: Medium = { procfs: false, hardLinks: true, reflinks: false, caseSensitive: true, normalizes: false }

async function makeRoot(medium: Partial<Medium>): Promise<Root> {
  const path = await testDirectory()
  await mkdir(join(path, 'Dir'))
  await writeFile(join(path, 'Dir/\u00e9'), '')
  return new Root(path, { ...EXACT, ...medium }, new Pace(false), 'id', '0-0')
}

it('checkSpelling() refuses another case if the medium would not', async () => {
  const root = await makeRoot({ caseSensitive: false })
  await root.checkSpelling(join(root.path, 'Dir/\u00e9'))
  await expect(root.checkSpelling(join(root.path, 'dir'))).rejects.toMatchObject({ code: 'ENOTDIR' })
})

it('checkSpelling() refuses another composition if the medium would not', async () => {
  const root = await makeRoot({ normalizes: true })
  await expect(root.checkSpelling(join(root.path, 'Dir/e\u0301'))).rejects.toMatchObject({ code: 'ENOTDIR' })
})

it('checkSpelling() reads no directory if every name is exact', async () => {
  const root = await makeRoot({})
  await root.checkSpelling(join(root.path, 'not/there'))
})
