import type { BlobFacts } from '../../model/blob.ts'
import type { Location } from '../../model/copy.ts'
import type { View } from '../../ports/ledger.ts'
import type { Services } from '../services.ts'
import { factsUnder, placesUnder } from './copies.ts'

/** A blob, and its places that are meant by a name. */
export interface Found {
  readonly facts: BlobFacts
  readonly locations: readonly Location[]
}

/** What is known under an id or a key. Places being cleaned are gone for readers. */
function findOn(rows: Pick<Services, 'index' | 'prefix'>, view: View, idOrKey: string): Found | null {
  const facts = factsUnder(rows, view, idOrKey)
  return facts && { facts, locations: placesUnder(rows, view, facts.id, idOrKey) }
}

export function find(services: Pick<Services, 'index' | 'ledger' | 'prefix'>, idOrKey: string): Promise<Found | null> {
  return services.ledger.look((view) => findOn(services, view, idOrKey))
}
