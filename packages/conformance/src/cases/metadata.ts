import { type Ctx, capability, defineCases } from '../case.ts'
import { check, checkCode, equal, rejects, settle } from '../expect.ts'

/** More than any service accepts. */
const TOO_MUCH_BYTES = 256 << 10

export const metadata = defineCases('md', {
  type: {
    title: 'stat gives the content type that was put',
    why: 'A browser that gets application/octet-stream downloads what it should display.',
    needs: capability('contentType'),
    proves: ['contentType'],
    async run(t) {
      for (const contentType of ['text/plain; charset=utf-8', 'application/vnd.oci.image.manifest.v1+json']) {
        await t.guard.put(t.key('blob'), t.bytes(10), { contentType })
        equal((await t.store.stat(t.key('blob')))?.contentType, contentType, 'the content type')
      }
    },
  },
  user: {
    title: 'stat gives the metadata that was put, ASCII and beyond',
    why: 'Headers are Latin-1: other text comes back changed.',
    needs: capability('metadata'),
    proves: ['metadata'],
    async run(t) {
      const values = { plain: 'value', 'with-dash': 'a b  c', unicode: 'é日本😀', percent: '100%41' }
      await t.guard.put(t.key('blob'), t.bytes(10), { metadata: values })
      equal((await t.store.stat(t.key('blob')))?.metadata, values, 'the metadata')
    },
  },
  case: {
    title: 'names of metadata are lower-case, and two that differ only in case are INVALID_ARGUMENT',
    why: 'They travel as header fields, which are case-insensitive: one of the two is lost, or both.',
    needs: capability('metadata'),
    async run(t) {
      await t.guard.put(t.key('blob'), t.bytes(10), { metadata: { 'Content-Owner': 'Ada' } })
      equal((await t.store.stat(t.key('blob')))?.metadata, { 'content-owner': 'Ada' }, 'the metadata')
      const twins = t.guard.put(t.key('twins'), t.bytes(10), { metadata: { owner: 'a', Owner: 'b' } })
      await rejects(twins, 'INVALID_ARGUMENT', 'put with two such names')
      await t.lacks(t.key('twins'))
    },
  },
  'overwrite-clears': {
    title: 'an overwrite without content type and metadata leaves nothing of the former ones',
    why: 'They described another blob.',
    needs: ({ contentType, metadata }) =>
      contentType || metadata ? true : 'neither capability contentType nor metadata is declared',
    async run(t) {
      const { contentType, metadata } = t.capabilities
      const former = { ...(contentType && { contentType: 'text/x-former' }), ...(metadata && { metadata: { a: 'b' } }) }
      await t.guard.put(t.key('blob'), t.bytes(10), former)
      await t.guard.put(t.key('blob'), t.bytes(20))
      const stat = await t.store.stat(t.key('blob'))
      check(stat?.contentType !== 'text/x-former', 'the former content type is gone')
      equal(Object.keys(stat?.metadata ?? {}), [], 'the names of the metadata')
    },
  },
  'too-big': {
    title: `metadata of ${TOO_MUCH_BYTES} bytes is kept whole, or put rejects with TOO_LARGE and stores nothing`,
    why: 'A service closes the connection in the middle of such a header, which looks like a permanent outage.',
    needs: capability('metadata'),
    async run(t) {
      const metadata = { large: 'x'.repeat(TOO_MUCH_BYTES) }
      const put = await settle(t.guard.put(t.key('blob'), t.bytes(10), { metadata }))
      if (put.status === 'fulfilled') {
        const kept = (await t.store.stat(t.key('blob')))?.metadata?.large
        return check(kept === metadata.large, 'the metadata is kept whole')
      }
      checkCode(put.reason, ['TOO_LARGE'], 'put')
      await t.lacks(t.key('blob'))
    },
  },
  undeclared: {
    title: 'metadata that is not declared never reaches the driver',
    why: 'What a driver is not asked to keep it must not be trusted to keep.',
    needs: ({ contentType, metadata }) => (contentType && metadata ? 'contentType and metadata are declared' : true),
    async run(t) {
      const seen = await optionsSeen(t)
      if (!t.capabilities.contentType) {
        check(!('contentType' in seen), 'the driver is not given a contentType')
        t.refused('contentType')
      }
      if (!t.capabilities.metadata) {
        check(!('metadata' in seen), 'the driver is not given metadata')
        t.refused('metadata')
      }
    },
  },
})

async function optionsSeen(t: Ctx): Promise<object> {
  const { guard, calls } = await t.spied()
  await guard.put(t.key('blob'), t.bytes(10), { contentType: 'text/plain', metadata: { a: 'b' } })
  return calls.find(({ method }) => method === 'put')?.args[2] as object
}
