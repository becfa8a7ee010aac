import type { RecordLocation } from '@stored/core'

const DAMAGED: readonly (string | null)[] = ['missing', 'corrupt', 'unknown']

/** Whether a copy was found gone, with wrong bytes, or changed: what `repair` mends. */
export function isDamaged({ state }: { readonly state: RecordLocation['state'] | null }): boolean {
  return DAMAGED.includes(state)
}
