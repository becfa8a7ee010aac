import { EXIT } from '../errors/exit-codes.ts'
import { findBlob } from '../files/read-blob.ts'
import { bytes } from '../output/format.ts'
import type { Context } from '../session/context.ts'
import { openSession } from '../session/open-session.ts'
import type { Outcome } from '../session/outcome.ts'

export async function run(context: Context): Promise<Outcome> {
  const { input, out, signal, dryRun } = context
  out.leaveStdoutToBytes()
  await using store = await openSession(context, { sync: false })
  const name = input.first
  const blob = await findBlob(store, context)
  if (dryRun) {
    await out.tell(
      { type: 'plan', action: 'get', name, file: '-', size: blob.length },
      `would write ${bytes(blob.length)}`,
    )
    return { exit: EXIT.ok, summary: { bytes: 0 } }
  }
  const write = async (bytes: AsyncIterable<Uint8Array>) => {
    for await (const chunk of bytes) await out.bytes(chunk, signal)
  }
  await blob.read(write, { mayBeginAgain: false })
  await out.record({ type: 'get', name, file: '-', size: blob.length })
  return { exit: EXIT.ok, summary: { bytes: blob.length } }
}
