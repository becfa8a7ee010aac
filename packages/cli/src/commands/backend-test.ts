import { loadConfiguration } from '../configuration.ts'
import { configuredBackend } from '../configured-backend.ts'
import type { Context } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import type { Outcome } from '../outcome.ts'
import { probe } from '../probe.ts'

export async function run(context: Context): Promise<Outcome> {
  const { input, out, dryRun, signal } = context
  const name = input.first
  const backend = configuredBackend(await loadConfiguration(context), name)
  if (dryRun) {
    await out.tell(
      { type: 'plan', action: 'test', backend: name },
      `would store a blob on ${name}, read it and remove it`,
    )
    return { exit: EXIT.ok, summary: {} }
  }
  await probe(name, backend, signal)
  const message = 'stored a blob, read it back and removed it'
  await out.tell({ type: 'check', check: `backend ${name}`, result: 'ok', message }, `${name}: ${message}`)
  return { exit: EXIT.ok, summary: {} }
}
