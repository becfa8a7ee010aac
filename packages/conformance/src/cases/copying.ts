import { type Ctx, defineCases } from '../case.ts'
import { equal, rejects } from '../expect.ts'

const FOUND_LATE = 'What a copy lost is discovered long after its original is gone.'

export const copying = defineCases('op', {
  'copy-type': {
    title: 'copy keeps content type and metadata, or their absence, also over a blob that had others',
    why: FOUND_LATE,
    since: '1.2',
    needs: ({ contentType, metadata }) =>
      contentType || metadata ? true : 'neither capability contentType nor metadata is declared',
    async run(t) {
      const [kept, others] = [described(t, 'text/x-kept', 'Ada'), described(t, 'text/x-other', 'Bob')]
      await t.guard.put(t.key('typed'), t.bytes(100), kept)
      await t.guard.put(t.key('plain'), t.bytes(100, 2))
      await t.guard.put(t.key('to'), t.bytes(10, 3), others)
      const bare = descriptionOf(await t.guard.stat(t.key('plain')))
      for (const [from, description] of [
        ['typed', kept],
        ['plain', bare],
      ] as const)
        for (const to of ['to', `new-${from}`]) {
          await t.guard.copy(t.key(from), t.key(to))
          const found = descriptionOf(await t.guard.stat(t.key(to)))
          equal(found, description, `the content type and metadata of ${to} after ${from} was copied there`)
        }
    },
  },
  'copy-itself': {
    title: 'copy of a blob onto its own key leaves it as it is',
    why: 'A driver that clears the target first may have nothing left to copy.',
    since: '1.2',
    async run(t) {
      const kept = described(t, 'text/x-kept', 'Ada')
      await t.guard.put(t.key('blob'), t.bytes(10_000), kept)
      await t.guard.copy(t.key('blob'), t.key('blob'))
      await t.holds(t.key('blob'), t.bytes(10_000))
      const found = descriptionOf(await t.guard.stat(t.key('blob')))
      if (Object.keys(kept).length > 0) equal(found, kept, 'the content type and metadata afterwards')
    },
  },
  'copy-missing': {
    title: 'copy of nothing rejects with NOT_FOUND, leaves what is at its target, and makes nothing where nothing was',
    why: 'An absence that is copied is a deletion.',
    since: '1.2',
    async run(t) {
      await t.store.put(t.key('to'), t.bytes(1_000))
      for (const to of ['to', 'new', 'none']) {
        const error = await rejects(t.guard.copy(t.key('none'), t.key(to)), 'NOT_FOUND', `copy of nothing to ${to}`)
        equal(error.at.key, t.key('none'), 'the key in the error')
      }
      await t.holds(t.key('to'), t.bytes(1_000))
      equal(await t.names(), ['to'], 'what is there')
    },
  },
  'copy-empty': {
    title: 'copy of an empty blob is an empty blob, also over another',
    why: 'Having nothing to copy is not the same as having no blob.',
    since: '1.2',
    async run(t) {
      await t.store.put(t.key('empty'), t.bytes(0))
      await t.store.put(t.key('to'), t.bytes(1_000))
      for (const to of ['to', 'new']) {
        const copied = await t.guard.copy(t.key('empty'), t.key(to))
        equal({ key: copied.key, size: copied.size }, { key: t.key(to), size: 0 }, 'what copy returns')
        await t.holds(t.key(to), t.bytes(0))
      }
    },
  },
  'copy-apart': {
    title: 'blob and copy are independent: no overwrite or deletion of one changes the other',
    why: 'A link passes for a copy until someone writes.',
    since: '1.2',
    async run(t) {
      const [blob, copy] = [t.key('blob'), t.key('dir/copy')]
      await t.store.put(blob, t.bytes(5_000, 1))
      await t.guard.copy(blob, copy)
      await t.store.put(blob, t.bytes(5_000, 2))
      await t.holds(copy, t.bytes(5_000, 1))
      await t.store.put(copy, t.bytes(3_000, 3))
      await t.holds(blob, t.bytes(5_000, 2))
      await t.guard.copy(blob, copy)
      await t.store.delete(blob)
      await t.holds(copy, t.bytes(5_000, 2))
      await t.guard.copy(copy, blob)
      await t.store.delete(copy)
      await t.holds(blob, t.bytes(5_000, 2))
      await t.lacks(copy)
    },
  },
})

interface Description {
  readonly contentType?: string
  readonly metadata?: Readonly<Record<string, string>>
}

/** With the fields that the driver declares. */
function described({ capabilities }: Ctx, contentType: string, owner: string): Description {
  return { ...(capabilities.contentType && { contentType }), ...(capabilities.metadata && { metadata: { owner } }) }
}

/** Absent fields are left out: `{}` means the same as nothing. */
function descriptionOf(stat: Description | null): Description {
  const { contentType, metadata = {} } = stat ?? {}
  const isNamed = Object.keys(metadata).length > 0
  return { ...(contentType !== undefined && { contentType }), ...(isNamed && { metadata }) }
}
