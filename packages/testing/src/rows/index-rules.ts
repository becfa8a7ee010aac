import { type BindingRow, backendOf, keyOf, type LocationRow, type StoreRows } from './rows.ts'
import type { Rule } from './rule.ts'

const OWING: ReadonlySet<string> = new Set(['pending', 'failed', 'conflict'])
const BAD: ReadonlySet<string> = new Set(['failed', 'conflict', 'missing', 'corrupt', 'unknown'])

/** Whether a place still needs the blob's bytes from the store. */
export function owes({ state }: Pick<LocationRow, 'state'>): boolean {
  return OWING.has(state)
}

/** By what the rows of keys lie beside their blob. */
function groupOf({ owner, wanted }: BindingRow): string {
  const shared = Object.keys(wanted).filter((backend) => wanted[backend] === 'shared')
  return `${owner === undefined ? '' : `${owner}@`}${shared.sort().join(',')}`
}

const TAGS: Readonly<Record<string, string>> = { synced: 'N', missing: 'O', corrupt: 'P', unknown: 'P', deleting: 'Q' }

function tagOf(location: LocationRow): string {
  return owes(location) ? 'L' : location.isFormer ? 'N' : `${TAGS[location.state]}`
}

export const indexRules: readonly Rule[] = [
  {
    name: 'a binding and the key row of its blob',
    why: 'these rows decide which key is the last one, with which a blob is deleted',
    *check({ bindings, keysOf }) {
      const found = new Set(keysOf.map(({ id, generation, group, key }) => `${id} ${generation} ${group} ${key}`))
      for (const [key, row] of bindings)
        if (!found.delete(`${row.id} ${row.generation ?? 0} ${groupOf(row)} ${key}`)) yield `${key} has none`
      for (const one of found) yield `${one} is none`
    },
  },
  {
    name: 'a binding and the facts of its blob',
    why: 'a key whose blob has no facts cannot be read; facts that no key names are never removed',
    *check({ bindings, deletions, facts }) {
      for (const [key, { id, size }] of bindings) {
        const known = facts.get(id)
        if (!known) yield `${key} is bound to ${id}, which has none`
        else if (known.size !== size) yield `${key} has ${size} bytes, and ${id} ${known.size}`
      }
      const bound = new Set([...bindings.values()].map(({ id }) => id))
      for (const id of facts.keys()) if (!bound.has(id) && !deletions.has(id)) yield `no key is bound to ${id}`
    },
  },
  {
    name: 'a copy and the keys that want it',
    why: 'a copy that no key wants is removed by nobody; one that goes although a key wants it leaves that key without',
    *check(rows) {
      const wanted = new Set<string>()
      const named = new Set<string>()
      for (const [key, row] of rows.bindings) {
        named.add(row.id)
        if (rows.isDeleted(key)) continue
        for (const [backend, how] of Object.entries(row.wanted))
          if (how === 'shared') wanted.add(`${row.id} ${backend}`)
      }
      for (const [place, { id, state, shared }] of rows.locations) {
        if (state === 'deleting' || !named.has(id)) continue
        const [backend, bound] = [backendOf(place), rows.bindings.get(keyOf(place))]
        if (shared && !wanted.has(`${id} ${backend}`)) yield `${place} of ${id} is wanted by none`
        const isCounted = bound?.id !== id || rows.isDeleted(keyOf(place)) || bound.wanted[backend] !== 'own'
        if (shared && !isCounted) yield `${place} of ${id} is shared, and its key wants its own`
        const isOwn = !shared && bound?.id === id && !rows.isDeleted(keyOf(place))
        if (isOwn && !(backend in bound.wanted)) yield `${place} of ${id} is not wanted by its key`
      }
    },
  },
  {
    name: 'a deletion at work and its marker',
    why: 'rows without a marker are never removed, and a dangling marker is found first forever',
    *check(rows) {
      for (const [id, { deleting }] of rows.facts) if (deleting && !rows.deletions.has(id)) yield `${id} has none`
      for (const id of rows.deletions) if (!rows.facts.has(id)) yield `${id} has no facts`
      for (const [key, { id }] of rows.bindings)
        if (rows.isDeleted(key) && !rows.deletions.has(id)) yield `${key} went with ${id}, which has none`
    },
  },
  {
    name: 'facts are those of their id',
    why: 'they verify what a backend returns',
    *check({ facts }) {
      for (const [id, { checksums }] of facts)
        if (`sha256:${checksums.sha256}` !== id) yield `${id} has the digest ${checksums.sha256}`
    },
  },
  {
    name: 'a place and its row beside the blob',
    why: 'these rows decide what is pending, what is synced, and what goes with a blob',
    *check({ locations, placesOf }) {
      const found = new Map<string, string[]>()
      for (const { id, tag, place, generation } of placesOf)
        found.set(place, [...(found.get(place) ?? []), `${tag}${generation} of ${id}`])
      for (const [place, location] of locations) {
        const expected = `${tagOf(location)}${location.generation ?? 0} of ${location.id}`
        const there = found.get(place) ?? []
        if (there.length !== 1 || there[0] !== expected) yield `${place} is ${expected}, and has ${there.join(', ')}`
      }
      for (const [place, there] of found)
        if (!locations.has(place)) yield `${place} is none, and has ${there.join(', ')}`
    },
  },
  {
    name: 'only a synced copy is of a generation, and of none to come',
    why: 'a copy confirmed by a process with a former backend would count for the current one of that name',
    *check({ locations, generations }) {
      for (const [place, { generation = 0, state, isFormer }] of locations) {
        if (generation > 0 && state !== 'synced' && !isFormer) yield `${place} is ${state} of ${generation}`
        const present = generations.get(backendOf(place)) ?? 0
        if (generation > present) yield `${place} is of ${generation}, and the backend is of ${present}`
      }
    },
  },
  {
    name: 'a place that all keys share and its row beside the blob',
    why: 'readers miss a copy without it, and it is given up while there are too few others',
    *check({ locations, sharedOf }) {
      const found = new Set(sharedOf.map(({ id, place }) => `${id} ${place}`))
      for (const [place, { id, shared, state }] of locations)
        if (shared && state !== 'deleting' && !found.delete(`${id} ${place}`)) yield `${place} has none`
      for (const one of found) yield `${one} is none`
    },
  },
  {
    name: 'a live place is one of a blob with facts',
    why: 'a copy that no record shows can be neither read nor removed',
    *check({ locations, facts }) {
      for (const [place, { id, state }] of locations)
        if (state !== 'deleting' && !facts.has(id)) yield `${place} is ${state} for ${id}`
    },
  },
  {
    name: 'a synced place says what it holds',
    why: 'readers and overwrites rely on it',
    *check({ locations }) {
      for (const [place, { id, state, holds }] of locations)
        if (state === 'synced' && holds?.id !== id) yield `${place} of ${id} holds ${holds?.id}`
    },
  },
  {
    name: 'a copy of one key is bound',
    why: 'the object of a key goes with it: one that stays is never served and never removed',
    *check(rows) {
      for (const [place, { id, state, shared }] of rows.locations)
        if (state !== 'deleting' && !shared && !isNamed(rows, place, id)) yield `${place} of ${id} is ${state}`
    },
  },
  {
    name: 'a bad copy and its mark',
    why: 'status() counts the copies that need attention by these marks',
    *check({ locations, bad, isBadComplete }) {
      const marked = new Set(bad.map(({ place, state }) => `${state} ${place}`))
      if (isBadComplete)
        for (const [place, { state }] of locations)
          if (BAD.has(state) && !marked.has(`${state} ${place}`)) yield `${place} is ${state} and has none`
      for (const { place, state } of bad)
        if (locations.get(place)?.state !== state)
          yield `${place} is marked ${state} and is ${locations.get(place)?.state}`
    },
  },
]

/** Whether its key is bound to the blob, or names an object of all its keys, as a former layout left it. */
function isNamed({ bindings }: StoreRows, place: string, id: string): boolean {
  const key = keyOf(place)
  return bindings.get(key)?.id === id || key.endsWith(id.slice('sha256:'.length))
}
