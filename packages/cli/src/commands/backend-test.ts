import type { Capabilities } from '@stored/core/backend'
import { sentenceOf } from '../backends/backend-log.ts'
import { configuredBackend } from '../backends/configured-backend.ts'
import { type Probe, probe } from '../backends/probe.ts'
import { EXIT } from '../errors/exit-codes.ts'
import { loadConfiguration } from '../session/configuration.ts'
import type { Context } from '../session/context.ts'
import { mediumOf } from '../session/open-session.ts'
import type { Outcome } from '../session/outcome.ts'

/** A medium may store times in whole seconds. */
const SAME_CLOCK_MS = 1_000

export async function run(context: Context): Promise<Outcome> {
  const { input, out, dryRun, signal } = context
  const name = input.first
  const loaded = await loadConfiguration(context)
  const backend = configuredBackend(loaded, name)
  if (dryRun) {
    await out.tell(
      { type: 'plan', action: 'test', backend: name },
      `would store a blob on ${name}, read, list and remove it`,
    )
    return { exit: EXIT.ok, summary: {} }
  }
  const probed = await probe(name, backend, {
    medium: await mediumOf(loaded, name),
    log: (event) => out.note(sentenceOf(event)),
    signal,
  })
  await out.record({ type: 'probe', backend: name, ...probed })
  await tell(context, name, probed)
  return { exit: EXIT.ok, summary: {} }
}

async function tell({ out }: Context, name: string, { driver, steps, clockDriftMs, capabilities }: Probe) {
  const table = out.table([{ title: name }, { title: 'ms', align: 'right' }])
  for (const [step, ms] of Object.entries(steps)) await table.row(step, ms.toFixed(1))
  await table.end()
  await out.line('')
  await out.line(`driver        ${driver}`)
  await out.line(`clock         ${describeDrift(clockDriftMs)}`)
  await out.line(`capabilities  ${describeCapabilities(capabilities)}`)
}

function describeDrift(ms: number | null): string {
  if (ms === null) return 'reports no times'
  if (Math.abs(ms) <= SAME_CLOCK_MS) return 'agrees'
  return `${(Math.abs(ms) / 1000).toFixed(1)} s ${ms > 0 ? 'ahead' : 'behind'}`
}

/** The optional capabilities, without the contract version. */
function describeCapabilities({ contract: _, ...capabilities }: Capabilities): string {
  const found = Object.entries(capabilities).flatMap(([name, value]) => describe(name, value))
  return found.join(', ') || 'only the five basic methods'
}

function describe(name: string, value: unknown): string[] {
  if (value === true) return [name]
  if (value === false || value === undefined) return []
  if (Array.isArray(value)) return value.length > 0 ? [`${name} ${value.join(' ')}`] : []
  if (typeof value !== 'object' || value === null) return [`${name} ${value}`]
  return Object.entries(value).map(([member, limit]) => `${name}.${member} ${limit}`)
}
