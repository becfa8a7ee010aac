import { EXIT } from '../errors/exit-codes.ts'
import type { Context } from '../session/context.ts'
import { openSession } from '../session/open-session.ts'
import type { Outcome } from '../session/outcome.ts'

export async function run(context: Context): Promise<Outcome> {
  const { input, out } = context
  await using store = await openSession(context, { sync: false })
  let found = 0
  for (const name of input.args) {
    const isFound = await store.has(name)
    if (isFound) found++
    await out.record({ type: 'has', name, found: isFound })
    if (!isFound) out.note(`${name}: no`)
  }
  const missing = input.args.length - found
  return { exit: missing === 0 ? EXIT.ok : EXIT.general, summary: { found, missing } }
}
