import { randomUUID } from 'node:crypto'
import path from 'node:path'
import { configuredBackend } from '../backends/configured-backend.ts'
import { type CaseResult, type Harness, type Kit, type KitOptions, loadKit } from '../backends/conformance-kit.ts'
import { probe } from '../backends/probe.ts'
import { EXIT } from '../errors/exit-codes.ts'
import { Fault, usage } from '../errors/fault.ts'
import { loadConfiguration } from '../session/configuration.ts'
import type { Context } from '../session/context.ts'
import { mediumOf } from '../session/open-session.ts'
import type { Outcome } from '../session/outcome.ts'

/** Contains a slash or ends in a module extension; backend names do neither. */
const MODULE = /[/\\]|\.[cm]?[jt]s$/
const PROFILES = ['quick', 'full', 'soak'] as const

export async function run(context: Context): Promise<Outcome> {
  const { input, dryRun } = context
  const target = input.first
  const options = optionsOf(context)
  if (MODULE.test(target)) {
    const kit = await loadKit(context)
    return dryRun
      ? plan(context, target)
      : withModule(kit, path.resolve(target), (harness) => prove(context, kit, harness, options))
  }
  const loaded = await loadConfiguration(context)
  const config = configuredBackend(loaded, target)
  const kit = await loadKit(context)
  const scratch = `stored-conformance-${randomUUID().slice(0, 8)}/`
  if (dryRun) return plan(context, `${target} below ${scratch}`)
  await confirm(context, target, scratch)
  // Report an unplugged disk at once; a case would create its directory again.
  await probe(target, config, { medium: await mediumOf(loaded, target), signal: context.signal })
  const { resolveBackend } = await import('@stored/node/config')
  const open = async () => (await resolveBackend(target, config)).backend
  const { name } = await open()
  return prove(context, kit, { name, open, shared: true, scope: (id) => `${scratch}${id}/` }, options)
}

function optionsOf({ input, signal }: Context): KitOptions {
  const [profile = 'quick', seed] = [input.text('profile'), input.count('seed', 0)]
  const known = PROFILES.find((each) => each === profile)
  if (known === undefined) throw usage(`--profile is quick, full or soak, not ${JSON.stringify(profile)}`)
  const only = input.texts('only')
  return { profile: known, signal, ...(only.length > 0 && { only }), ...(seed !== undefined && { seed }) }
}

async function plan({ out }: Context, where: string): Promise<Outcome> {
  await out.tell({ type: 'plan', action: 'conformance', where }, `would run the conformance kit on ${where}`)
  return { exit: EXIT.ok, summary: {} }
}

async function confirm({ yes, out, signal }: Context, name: string, scratch: string): Promise<void> {
  if (yes) return
  const what = `thousands of blobs are written to ${name} and deleted again, all below ${scratch}`
  if (!process.stdin.isTTY || out.isJson) throw usage(`${what}: pass --yes to confirm`)
  out.note(what)
  const { ask } = await import('../output/ask.ts')
  const [answer = ''] = await ask([{ text: 'Go on? yes or no', otherwise: 'no' }], signal)
  if (!/^y(es)?$/i.test(answer)) throw new Fault('ABORTED', 'nothing was done')
}

async function withModule(kit: Kit, file: string, use: (harness: Harness) => Promise<Outcome>): Promise<Outcome> {
  const harness = await kit.loadHarness(file)
  if (typeof harness === 'string') throw new Fault('SKIPPED', harness)
  try {
    return await use(harness)
  } finally {
    await harness.close?.()
  }
}

async function prove({ out }: Context, kit: Kit, harness: Harness, options: KitOptions): Promise<Outcome> {
  let said = Promise.resolve()
  const say = (text: string) => {
    said = said.then(() => out.line(text))
  }
  const groups = new GroupLines(say)
  const report = await kit.runConformance(harness, { ...options, onResult: (result) => groups.add(result) })
  groups.end()
  await said
  const json = kit.reportJson(report)
  await out.record({ type: 'report', ...json })
  await out.line(`${json.badge} · level ${json.level ?? 'none'} · ${printCounts(json.counts)}`)
  return { exit: report.passed ? EXIT.ok : EXIT.general, summary: { ...json.counts } }
}

/** Prints failures as they happen and a line when each group of cases ends. */
class GroupLines {
  readonly #say: (text: string) => void
  #group = ''
  #counts: Record<string, number> = {}

  constructor(say: (text: string) => void) {
    this.#say = say
  }

  add({ id, status, error }: CaseResult): void {
    const [group = ''] = id.split('.')
    if (group !== this.#group) this.end()
    this.#group = group
    this.#counts[status] = (this.#counts[status] ?? 0) + 1
    if (status === 'failed') for (const line of error?.message.split('\n') ?? []) this.#say(line)
  }

  end(): void {
    if (this.#group !== '') this.#say(`${this.#group.padEnd(4)} ${printCounts(this.#counts)}`)
    this.#counts = {}
  }
}

function printCounts(counts: Readonly<Record<string, number>>): string {
  const found = Object.entries(counts).filter(([, count]) => count > 0)
  return found.map(([status, count]) => `${count} ${status}`).join(', ')
}
