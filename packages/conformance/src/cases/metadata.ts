import { type Ctx, capability, defineCases } from '../case.ts'
import { check, equal } from '../expect.ts'

export const metadata = defineCases('md', {
  type: {
    title: 'stat gives the content type that was put',
    why: 'A browser that gets application/octet-stream downloads what it should show.',
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
    why: 'Headers are Latin-1: what is not comes back as something else.',
    needs: capability('metadata'),
    proves: ['metadata'],
    async run(t) {
      const values = { plain: 'value', 'with-dash': 'a b  c', unicode: 'é日本😀', percent: '100%41' }
      await t.guard.put(t.key('blob'), t.bytes(10), { metadata: values })
      equal((await t.store.stat(t.key('blob')))?.metadata, values, 'the metadata')
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
