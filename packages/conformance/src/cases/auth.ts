import { inspect } from 'node:util'
import type { GuardedBackend } from '@stored/core'
import { type Ctx, creds, defineCases, hook, type Needs } from '../case.ts'
import type { Echo } from '../chaos-proxy.ts'
import { check, checkCode, equal, rejects, settle, within } from '../expect.ts'
import { type Call, spyOn } from '../subject.ts'
import { SETTLE_MS } from './wire.ts'

const NOT_ABSENT = 'What reads as "not there" reads as "safe to write again", or as "deleted".'
const denyOrReadonly: Needs = (capabilities, harness, view) =>
  hook('deny')(capabilities, harness, view) === true ? true : creds('readonly')(capabilities, harness, view)

const endpointAndSecrets: Needs = (capabilities, harness, view) => {
  const hasEndpoint = hook('endpoint')(capabilities, harness, view)
  return hasEndpoint === true ? hook('secrets')(capabilities, harness, view) : hasEndpoint
}

/** Every way in which services describe errors. */
const ECHOES: readonly Echo[] = [400, 403, 500].flatMap((status): Echo[] => {
  const page = (type: string, html: (asked: string) => string): Echo => {
    return (asked) => ({
      status,
      html: html(asked),
      headers: { 'content-type': type, 'x-message': asked.replaceAll('\n', ', '), 'x-amz-request-id': '1' },
    })
  }
  const inXml = (asked: string) => asked.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
  return [
    page('application/xml', (asked) => `<Error><Code>Refused</Code><Message>${inXml(asked)}</Message></Error>`),
    page('application/json', (asked) => JSON.stringify({ error: { code: 'Refused', message: asked } })),
    page('text/plain', (asked) => asked),
  ]
})

export const auth = defineCases('au', {
  bad: {
    title: 'every operation with credentials that are not accepted rejects with UNAUTHENTICATED, once',
    why: 'Repeating a wrong password locks the account.',
    needs: creds('bad'),
    provokes: ['UNAUTHENTICATED'],
    timeoutMs: 120_000,
    async run(t) {
      const calls: Call[] = []
      const guard = t.wrap(spyOn(await t.harness.open({ creds: 'bad' }), calls))
      for (const [what, call] of Object.entries(operations(t, guard))) {
        calls.length = 0
        await within(rejects(call(), 'UNAUTHENTICATED', what), SETTLE_MS, what)
        const methods = calls.map(({ method }) => method)
        // An `open` without a call is not an attempt.
        const isOnce = new Set(methods).size === methods.length
        check(isOnce, `${what} reaches the driver once, but it called ${methods}`)
      }
    },
  },
  'deny-read': {
    title: 'get and stat without the permission to read reject with PERMISSION_DENIED',
    why: NOT_ABSENT,
    needs: hook('deny'),
    provokes: ['PERMISSION_DENIED'],
    async run(t) {
      await t.store.put(t.key('blob'), t.bytes(10))
      await whileDenied(t, 'read', async () => {
        await rejects(t.guard.get(t.key('blob')), 'PERMISSION_DENIED', 'get')
        await rejects(t.guard.stat(t.key('blob')), 'PERMISSION_DENIED', 'stat')
        await rejects(t.guard.has(t.key('blob')), 'PERMISSION_DENIED', 'has')
      })
      await t.holds(t.key('blob'), t.bytes(10))
    },
  },
  'deny-write': {
    title: 'put and delete without the permission to write reject with PERMISSION_DENIED, and change nothing',
    why: 'If a denied delete resolves, something that everyone believes gone remains.',
    needs: denyOrReadonly,
    provokes: ['PERMISSION_DENIED'],
    async run(t) {
      await t.store.put(t.key('blob'), t.bytes(10, 1))
      const refused = async (guard: GuardedBackend) => {
        await rejects(guard.put(t.key('blob'), t.bytes(10, 2)), 'PERMISSION_DENIED', 'the overwrite')
        await rejects(guard.put(t.key('dir/new'), t.bytes(10, 2)), 'PERMISSION_DENIED', 'put')
        await rejects(guard.delete(t.key('blob')), 'PERMISSION_DENIED', 'delete')
      }
      if (t.harness.deny) await whileDenied(t, 'write', () => refused(t.guard))
      if (t.harness.creds?.includes('readonly')) await refused(t.wrap(await t.harness.open({ creds: 'readonly' })))
      await t.holds(t.key('blob'), t.bytes(10, 1))
      await t.lacks(t.key('dir/new'))
      await t.clean()
    },
  },
  'deny-list': {
    title: 'list without the permission to list rejects with PERMISSION_DENIED',
    why: NOT_ABSENT,
    needs: hook('deny'),
    provokes: ['PERMISSION_DENIED'],
    async run(t) {
      await t.store.put(t.key('blob'), t.bytes(10))
      await whileDenied(t, 'list', () => rejects(t.guard.list({ prefix: t.scope }).next(), 'PERMISSION_DENIED', 'list'))
      equal(await t.names(), ['blob'], 'the listing afterwards')
    },
  },
  rotate: {
    title: 'operations go on when the credentials are changed: the function that gives them is asked again',
    why: 'Credentials that last an hour expire in the middle of the day.',
    needs: hook('rotate'),
    async run(t) {
      const key = t.key('blob')
      await t.store.put(key, t.bytes(1_000))
      for (const [what, call] of Object.entries(operations(t, t.guard))) {
        await t.harness.rotate?.()
        const outcome = await settle(call())
        if (outcome.status === 'fulfilled') continue
        // The body was consumed by the old credentials, or by the connection that ended with them.
        check(what === 'put', `${what} is made with the new credentials`)
        checkCode(outcome.reason, ['UNAUTHENTICATED', 'UNAVAILABLE'], what)
      }
      await t.store.put(key, t.bytes(1_000, 2))
      await t.holds(key, t.bytes(1_000, 2))
    },
  },
  'no-secret': {
    title: 'nothing secret is in an error, in a log, or in what inspect and JSON show of the driver',
    why: 'Logs are read by everyone, and kept for years.',
    needs: hook('secrets'),
    async run(t) {
      const driver = await t.harness.open()
      const printed: string[] = []
      const guard = t.wrap(driver, { retries: 0, log: (event) => void printed.push(JSON.stringify(event)) })
      await guard.put(t.key('blob'), t.bytes(10))
      const secrets = [...(t.harness.secrets?.() ?? [])]
      printed.push(show(driver), String(driver), JSON.stringify(driver) ?? '')
      const failures: Promise<PromiseSettledResult<unknown>>[] = [
        settle(guard.get(t.key('none'))),
        settle(guard.put(t.key('blob'), t.bytes(1), { size: 2 })),
      ]
      if (t.harness.creds?.includes('bad')) failures.push(settle(refusedBy(t)))
      if (t.harness.endpoint) failures.push(settle(brokenOff(t)))
      for (const outcome of await Promise.all(failures)) if (outcome.status === 'rejected') printed.push(show(outcome))
      for (const secret of secrets)
        check(!printed.some((text) => text.includes(secret)), 'what is printed holds nothing that is secret')
    },
  },
  echo: {
    title: 'nothing secret is in an error about a response that echoes the request',
    why: 'Services and proxies repeat in their messages what they were sent; from there it gets into the index and into every status.',
    needs: endpointAndSecrets,
    since: '1.2',
    timeoutMs: 120_000,
    async run(t) {
      await t.store.put(t.key('blob'), t.bytes(10))
      const { guard, proxy } = await t.through({ retries: 0 })
      const secrets = t.harness.secrets?.() ?? []
      for (const echo of ECHOES) {
        proxy.show(echo)
        for (const [what, call] of Object.entries(operations(t, guard))) {
          const outcome = await within(settle(call()), SETTLE_MS, what)
          const told = outcome.status === 'rejected' ? show(outcome.reason) : ''
          for (const secret of secrets)
            check(!told.includes(secret), `the error of ${what} holds nothing that is secret`)
        }
      }
      proxy.heal()
    },
  },
  'no-container': {
    title: 'a bucket or container that does not exist is MISCONFIGURED, not an absence',
    why: NOT_ABSENT,
    needs: hook('noContainer'),
    provokes: ['MISCONFIGURED'],
    async run(t) {
      const driver = await t.harness.noContainer?.()
      check(driver !== undefined, 'the harness has such an instance')
      const guard = t.wrap(driver)
      for (const [what, call] of Object.entries(operations(t, guard))) await rejects(call(), 'MISCONFIGURED', what)
    },
  },
})

/** One call of each operation, on the same key. */
function operations(t: Ctx, guard: GuardedBackend): Record<string, () => Promise<unknown>> {
  const key = t.key('blob')
  return {
    stat: () => guard.stat(key),
    get: async () => t.read(key, guard),
    list: () => t.names('', guard),
    put: () => guard.put(key, t.bytes(1_000)),
    delete: () => guard.delete(key),
  }
}

async function whileDenied(t: Ctx, op: 'read' | 'write' | 'list', body: () => Promise<unknown>): Promise<void> {
  const allow = await t.harness.deny?.(op)
  try {
    await body()
  } finally {
    await allow?.()
  }
}

/** With causes and all attached properties. */
function show(value: unknown): string {
  return inspect(value, { depth: 12, maxArrayLength: null, maxStringLength: null })
}

async function refusedBy(t: Ctx): Promise<unknown> {
  return t.wrap(await t.harness.open({ creds: 'bad' })).stat(t.key('blob'))
}

async function brokenOff(t: Ctx): Promise<unknown> {
  const { guard, proxy } = await t.through({ retries: 0 })
  proxy.refuse()
  return guard.stat(t.key('blob'))
}
