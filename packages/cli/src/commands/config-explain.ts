import { EXIT } from '../errors/exit-codes.ts'
import { loadConfiguration } from '../session/configuration.ts'
import type { Context } from '../session/context.ts'
import type { Outcome } from '../session/outcome.ts'

export async function run(context: Context): Promise<Outcome> {
  const { out } = context
  const { origins } = await loadConfiguration(context)
  const table = out.table([{ title: 'option' }, { title: 'value' }, { title: 'from' }])
  for (const origin of origins) {
    const { option, value, where } = origin
    await out.record({ type: 'option', ...origin })
    await table.row(option, typeof value === 'string' ? value : JSON.stringify(value), where)
  }
  await table.end()
  return { exit: EXIT.ok, summary: { options: origins.length } }
}
