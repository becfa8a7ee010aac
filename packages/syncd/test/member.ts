// Opens a store and reports its role: node member.ts DIRECTORY lead|listen. Commands are lines on stdin.
import { createInterface } from 'node:readline'
import { LmdbLedger } from '@stored/lmdb'
import { Leadership } from '../src/coordination/leadership.ts'

const [directory, part] = process.argv.slice(2) as [string, string]

const ledger = await LmdbLedger.open({ path: directory, reserve: 0 })
const member = await Leadership.open({
  ledger,
  directory,
  lead: part === 'lead',
  onError: (error) => say({ error: String(error) }),
})
member.onRing(() => say({ rang: true }))
member.onChange((leads) => say({ leads }))
say({ leads: member.leads, attended: member.attended })

for await (const command of createInterface({ input: process.stdin })) {
  if (command === 'ring') member.ring()
  if (command === 'commit') await commit()
  if (command === 'close') break
}
await member.close()
await ledger.close()
say({ closed: true })

async function commit(): Promise<void> {
  try {
    const { seq } = await ledger.transact(member.fence())
    say({ committed: seq })
  } catch (error) {
    say({ refused: (error as { code?: unknown }).code })
    await member.stepDown()
    say({ attended: member.attended })
  }
}

function say(what: unknown): void {
  process.stdout.write(`${JSON.stringify(what)}\n`)
}
