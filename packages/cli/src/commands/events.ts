import type { DurableEvent, Logged } from '@stored/core'
import { EXIT } from '../errors/exit-codes.ts'
import { shortId, time } from '../output/format.ts'
import type { Context } from '../session/context.ts'
import { openSession } from '../session/open-session.ts'
import type { Outcome } from '../session/outcome.ts'

export async function run(context: Context): Promise<Outcome> {
  const { input, out, signal } = context
  const since = input.text('since')
  const follow = input.has('follow')
  await using store = await openSession(context, { sync: false })
  if (follow && (await store.status()).syncing === 'nowhere')
    out.note('nothing syncs this store: events of other processes appear once something does')
  let events = 0
  let last = since ?? '0'
  for await (const event of store.events({ ...(since !== undefined && { since }), follow, signal })) {
    await out.tell({ type: 'event', event }, lineOf(event))
    events++
    last = event.position
  }
  return { exit: EXIT.ok, summary: { events, last } }
}

function lineOf(event: Logged<DurableEvent>): string {
  const begin = `${event.position}  ${time(event.time)}  ${event.type.padEnd(13)}`
  // Of an extension: what its data mean, the extension knows.
  if ('data' in event) return `${begin}  ${JSON.stringify(event.data)}`
  const head = `${begin}  ${shortId(event.checksum)}`
  if (event.type === 'put') return `${head}  ${event.key}`
  if (event.type === 'delete') return `${head}  ${event.keys.join(' ')}`
  const error = event.type === 'sync:error' ? `  ${event.error.message}` : ''
  return `${head}  ${event.op} ${event.key} on ${event.backend}${error}`
}
