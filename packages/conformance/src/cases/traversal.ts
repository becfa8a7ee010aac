import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { all, type Ctx, defineCases, hook, outsider } from '../case.ts'
import { check, checkCode, equal, rejects, sameBytes, settle, started } from '../expect.ts'
import type { Outsider } from '../harness.ts'
import { halved } from '../source.ts'

const ESCAPES = 'A user who chooses a key must not choose which files of the host are read and overwritten.'
const linked = all(hook('outsider'), outsider('symlink'), outsider('outside'))

export const traversal = defineCases('tr', {
  dotdot: {
    title: 'a key that climbs is refused with INVALID_KEY, or on the driver is a plain name; it reaches no other key',
    why: ESCAPES,
    raw: true,
    needs: (_, { shared }, view) =>
      shared && view === 'raw'
        ? 'shared: it would write outside the scope where keys that climb are plain names'
        : true,
    async run(t) {
      await t.store.put(t.key('target'), t.bytes(100, 1))
      for (const key of [t.key('in/../target'), t.key('./target'), '../target', '../../target']) {
        const put = await settle(t.store.put(key, t.bytes(100, 2)))
        if (put.status === 'rejected') checkCode(put.reason, ['INVALID_KEY'], `put of ${JSON.stringify(key)}`)
        else {
          check(t.view === 'raw', `the guard refuses ${JSON.stringify(key)}, but it was stored`)
          await t.holds(key, t.bytes(100, 2))
          await t.store.delete(key)
        }
        await t.holds(t.key('target'), t.bytes(100, 1))
      }
      equal(await t.names(), ['target'], 'the list')
    },
  },
  encoded: {
    title: '`%2e%2e%2f` is a plain name',
    why: ESCAPES,
    async run(t) {
      await t.store.put(t.key('target'), t.bytes(100, 1))
      for (const name of ['%2e%2e%2ftarget', 'in/%2e%2e/target', '..%2ftarget', '%252e%252e%252ftarget']) {
        await t.store.put(t.key(name), t.bytes(100, 2))
        await t.holds(t.key(name), t.bytes(100, 2))
      }
      await t.holds(t.key('target'), t.bytes(100, 1))
    },
  },
  absolute: {
    title: 'a path of Windows is a plain name, or INVALID_KEY',
    why: ESCAPES,
    async run(t) {
      for (const name of ['C:\\x', 'C:/x', '\\\\host\\s', '..\\x', 'file:x']) {
        const put = await settle(t.store.put(t.key(name), t.bytes(100)))
        if (put.status === 'rejected') checkCode(put.reason, ['INVALID_KEY'], `put of ${JSON.stringify(name)}`)
        else await t.holds(t.key(name), t.bytes(100))
      }
    },
  },
  'sibling-root': {
    title: 'a directory whose name begins with that of the root is not reached through a link',
    why: 'A root compared without its separator takes `/d/abc` for a part of `/d/ab`.',
    needs: linked,
    run: (t) =>
      withOutside(t, async (outside, { symlink }) => {
        await symlink(t.key('near'), outside)
        const put = await settle(t.store.put(t.key('near/planted'), t.bytes(100)))
        check(put.status === 'rejected', 'put below a link to the neighbour of the root rejects, but it resolved')
        equal(await readdir(outside), ['secret'], 'what lies beside the root')
        await rejects(t.store.get(t.key('near/secret')), ['NOT_FOUND', 'PERMISSION_DENIED'], 'get through the link')
      }),
  },
  'symlink-read': {
    title: 'get and stat of a symbolic link find nothing',
    why: 'A link planted in the storage would expose any file of the host.',
    needs: linked,
    run: (t) =>
      withOutside(t, async (outside, { symlink }) => {
        await symlink(t.key('link'), path.join(outside, 'secret'))
        await rejects(t.store.get(t.key('link')), 'NOT_FOUND', 'get of the link')
        equal(await t.store.stat(t.key('link')), null, 'what stat says of the link')
      }),
  },
  'symlink-write': {
    title: 'put through a linked directory rejects with KEY_CONFLICT and writes nothing there',
    why: ESCAPES,
    needs: linked,
    run: (t) =>
      withOutside(t, async (outside, { symlink }) => {
        await symlink(t.key('dir'), outside)
        const put = t.store.put(t.key('dir/secret'), t.bytes(100))
        await rejects(put, 'KEY_CONFLICT', 'put through the linked directory')
        equal(await readdir(outside), ['secret'], 'what lies at the target of the link')
        sameBytes(t.seed, await readFile(path.join(outside, 'secret')), SECRET, 'the file at the target of the link')
      }),
  },
  'symlink-list': {
    title: 'list ends despite a link that leads back, and leaves links out',
    why: 'A loop lists forever, and a linked tree would be adopted as if it were here.',
    needs: linked,
    run: (t) =>
      withOutside(t, async (outside, { symlink }) => {
        await t.store.put(t.key('dir/real'), t.bytes(10))
        await symlink(t.key('dir/loop'), '.')
        await symlink(t.key('file'), path.join(outside, 'secret'))
        await symlink(t.key('tree'), outside)
        equal(await t.names(), ['dir/real'], 'the list')
      }),
  },
  special: {
    title: 'a FIFO is not found, blocks nobody and is not listed',
    why: 'Opening a FIFO waits for its writer: one thread less, until none are left.',
    needs: all(hook('outsider'), outsider('special')),
    timeoutMs: 10_000,
    async run(t) {
      await t.store.put(t.key('real'), t.bytes(10))
      await t.harness.outsider?.special?.(t.key('fifo'))
      await rejects(t.store.get(t.key('fifo')), 'NOT_FOUND', 'get of a FIFO')
      equal(await t.names(), ['real'], 'the list')
    },
  },
  'in-the-way': {
    title: 'put over a link, a FIFO or a directory, or below a link, rejects with KEY_CONFLICT; other keys still work',
    why: 'What blocks one key is not an outage, does not go away by waiting, and is not ours to replace.',
    needs: outsider('symlink'),
    async run(t) {
      const { symlink, special, mkdir } = t.harness.outsider ?? {}
      const directories = t.capabilities.keys?.fileAndPrefix === false ? mkdir : undefined
      const obstacles = {
        link: symlink && (() => symlink(t.key('link'), 'elsewhere')),
        'linked/below': symlink && (() => symlink(t.key('linked'), 'elsewhere')),
        fifo: special && (() => special(t.key('fifo'))),
        directory: directories && (() => directories(t.key('directory'))),
      }
      for (const [name, make] of Object.entries(obstacles)) {
        if (make === undefined) continue
        await make()
        for (const attempt of [1, 2])
          await rejects(t.store.put(t.key(name), t.bytes(100)), 'KEY_CONFLICT', `put of ${name}, attempt ${attempt}`)
        await t.lacks(t.key(name))
        await t.store.put(t.key(`beside-${name}`), t.bytes(100))
        await t.holds(t.key(`beside-${name}`), t.bytes(100))
      }
      await t.clean()
    },
  },
  swap: {
    title: 'put whose directory is swapped for a link during the call never writes outside',
    why: 'A check before the write holds only at the moment of the check.',
    needs: linked,
    run: (t) =>
      withOutside(t, async (outside, { symlink }) => {
        const source = halved(t.bytes(200_000))
        const put = started(t.store.put(t.key('dir/planted'), source, { size: source.size }))
        await source.reachedBy(put)
        await symlink(t.key('dir'), outside)
        source.release()
        await settle(put)
        equal(await readdir(outside), ['secret'], 'what lies at the target of the link')
      }),
  },
})

const SECRET = Buffer.from('not part of this storage')

/** Calls `run` with an existing directory outside the storage that contains one file, and removes it afterwards. */
async function withOutside(
  t: Ctx,
  run: (outside: string, hooks: { symlink: NonNullable<Outsider['symlink']> }) => Promise<void>,
): Promise<void> {
  const hooks = t.harness.outsider
  if (!hooks?.symlink || !hooks.outside) return t.skip('the harness has no outsider.symlink')
  await mkdir(hooks.outside, { recursive: true })
  try {
    await writeFile(path.join(hooks.outside, 'secret'), SECRET)
    await run(hooks.outside, { symlink: (key, target) => hooks.symlink?.(key, target) ?? Promise.resolve() })
  } finally {
    await rm(hooks.outside, { recursive: true })
  }
}
