import { switchBackends } from '../backends/switch-backends.ts'
import type { Context } from '../session/context.ts'
import type { Outcome } from '../session/outcome.ts'

export function run(context: Context): Promise<Outcome> {
  return switchBackends(context, 'resume')
}
