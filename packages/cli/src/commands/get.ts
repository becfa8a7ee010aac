import { stat } from 'node:fs/promises'
import path from 'node:path'
import { StorageError } from '@stored/core/backend'
import { EXIT } from '../errors/exit-codes.ts'
import { type Blob, findBlob } from '../files/read-blob.ts'
import { writeWhole } from '../files/write-file.ts'
import { bytes } from '../output/format.ts'
import type { Context } from '../session/context.ts'
import { openSession } from '../session/open-session.ts'
import type { Outcome } from '../session/outcome.ts'
import { run as cat } from './cat.ts'

export async function run(context: Context): Promise<Outcome> {
  const { input, out, signal, dryRun } = context
  const output = input.text('output')
  if (output === '-') return cat(context)
  await using store = await openSession(context, { sync: false })
  const name = input.first
  const file = await targetOf(output, name)
  const replace = output !== undefined
  if (!replace && (await isThere(file)))
    throw new StorageError('ALREADY_EXISTS', { op: 'get', key: name }, { detail: `${file} exists; -o replaces it` })
  const blob = await findBlob(store, context)
  if (dryRun) {
    await out.tell(
      { type: 'plan', action: 'get', name, file, size: blob.length },
      `would write ${file}, ${bytes(blob.length)}`,
    )
    return { exit: EXIT.ok, summary: { bytes: 0 } }
  }
  await writeWhole(
    file,
    { read: (use, o) => blob.read((bytes) => use(watched(bytes, blob, context)), o) },
    { replace, signal },
  )
  await out.record({ type: 'get', name, file, size: blob.length })
  return { exit: EXIT.ok, text: `${file}  ${bytes(blob.length)}`, summary: { bytes: blob.length } }
}

/** Resolves a directory as `cp` does. */
async function targetOf(output: string | undefined, name: string): Promise<string> {
  const own = path.basename(name).replace(/^sha256:/, '')
  if (output === undefined) return path.resolve(own)
  const isDirectory = await stat(output).then(
    (stats) => stats.isDirectory(),
    () => false,
  )
  return isDirectory ? path.resolve(output, own) : path.resolve(output)
}

async function isThere(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  )
}

async function* watched(
  chunks: AsyncIterable<Uint8Array>,
  { length }: Blob,
  { input, out }: Context,
): AsyncGenerator<Uint8Array> {
  let done = 0
  for await (const chunk of chunks) {
    yield chunk
    done += chunk.length
    out.progress.show({ title: 'get', done, total: length, note: input.first })
  }
  out.progress.end()
}
