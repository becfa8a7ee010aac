import type { StoreD } from '@stored/core'
import type { LogEvent } from '@stored/core/backend'
import type { Output } from '../output/output.ts'

/** With --verbose, prints what drivers log while the store is in use. */
export function tellBackendLog(store: StoreD, out: Output): void {
  if (out.isVerbose) store.on('log', ({ backend, ...event }) => out.note(`${backend}: ${sentenceOf(event)}`))
}

export function sentenceOf({ message, key }: Pick<LogEvent, 'message' | 'key'>): string {
  return key === undefined ? message : `${JSON.stringify(key)}: ${message}`
}
