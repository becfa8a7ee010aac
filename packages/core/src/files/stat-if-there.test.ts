import { symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { temporaryDirectory } from '@stored/testing/directory'
import { expect, test } from 'vitest'
import { statIfThere } from './stat-if-there.ts'

test('statIfThere() answers null for what is certainly not there, and throws where it cannot tell', async () => {
  await using dir = await temporaryDirectory()
  const [file, loop] = [path.join(dir.path, 'file'), path.join(dir.path, 'loop')]
  await writeFile(file, 'four')
  await symlink('loop', loop)
  expect(await statIfThere(file)).toMatchObject({ size: 4 })
  expect(await statIfThere(path.join(dir.path, 'none'))).toBeNull()
  expect(await statIfThere(path.join(file, 'below'))).toBeNull()
  await expect(statIfThere(loop)).rejects.toMatchObject({ code: 'ELOOP' })
})
