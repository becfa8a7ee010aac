import type { Context } from '../context.ts'
import type { Outcome } from '../outcome.ts'
import { switchBackends } from '../switch-backends.ts'

export function run(context: Context): Promise<Outcome> {
  return switchBackends(context, 'resume')
}
