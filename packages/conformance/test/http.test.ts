import { createHash } from 'node:crypto'
import { type GetOptions, type GetResult, StorageError } from '@stored/core/backend'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Report, runConformance } from '../src/index.ts'
import { collect } from '../src/source.ts'
import { HttpBackend } from './http-backend.ts'
import { httpHarness } from './http-harness.ts'
import { httpMutants } from './http-mutants.ts'
import { ResumingHttpBackend, SendsAllAgain } from './http-resume.ts'
import { HttpServer } from './http-server.ts'

/** Cases of profile full that take seconds. */
const LARGER = ['cw.parts', 'ls.pages', 'rg.assemble']

let server: HttpServer
beforeAll(async () => {
  server = await HttpServer.start()
})
afterAll(() => server.close())

describe('a driver for an HTTP server, through a proxy where connections have to fail', () => {
  it('passes every case except those for files and for what it does not declare', async () => {
    const report = await runConformance(httpHarness(server))
    expect(failures(report)).toEqual([])
    expect(unproved(report)).toEqual([
      ...['at.sweep', 'cp.readonly', 'cp.signed-url', 'cw.undeclared'],
      ...['key.refused', 'ls.foreign-name', 'md.undeclared'],
      ...['op.reconnect', 'op.reconnect-new', 'op.sweep-blobs', 'op.sweep-other', 'op.sweep-running', 'op.sweep-young'],
      ...['rg.emulated', 'src.file', 'sz.over-limit'],
    ])
    expect(report.refused).toEqual(['resume', 'signedUrl', 'sweep', 'watch'])
  })

  it('passes with blobs of several parts and listings of several pages', async () => {
    const report = await runConformance(httpHarness(server), { profile: 'full', only: LARGER })
    expect(failures(report)).toEqual([])
    expect(report.skipped).toEqual([])
  })
})

describe('a driver of another kind that keeps every promise', () => {
  class OpensWithoutACall extends HttpBackend {
    override async open(): Promise<void> {}
  }
  /** Like TLS or SSH, which break the connection at a changed byte. */
  class Authenticated extends HttpBackend {
    override async get(key: string, options: GetOptions): Promise<GetResult> {
      const { stat, body } = await super.get(key, options)
      return { stat, body: whole(body, stat.checksums?.sha256, options) }
    }
  }
  async function* whole(body: AsyncIterable<Uint8Array>, sha256: string | undefined, { offset }: GetOptions) {
    const bytes = await collect(body)
    if (offset === undefined && createHash('sha256').update(bytes).digest('hex') !== sha256)
      throw new StorageError('UNAVAILABLE', { backend: 'http', op: 'get' })
    yield bytes
  }

  it.each([
    ['whose open makes no call passes au.bad', OpensWithoutACall, 'au.bad'],
    ['whose connection detects damage itself passes ck.wire', Authenticated, 'ck.wire'],
  ])('%s', async (_, Backend, only) => {
    const harness = httpHarness(server, (options) => new Backend(options))
    expect(failures(await runConformance(harness, { only: [only] }))).toEqual([])
  })
})

describe('a driver whose puts resume', () => {
  const open = (Backend: typeof HttpBackend) => {
    process.env.STORED_TEST_RESUME = 'true'
    return httpHarness(server, (options) => new Backend(options))
  }
  afterEach(() => {
    delete process.env.STORED_TEST_RESUME
  })

  it('passes every case for them, and does not resend a part that arrived', async () => {
    const harness = { ...open(ResumingHttpBackend), debris: async () => [...server.uploads.keys()] }
    const report = await runConformance(harness, { only: ['rs'] })
    expect(failures(report)).toEqual([])
    expect(report.skipped.map(({ id }) => id)).toEqual(['rs.undeclared'])
  })

  it('that starts over each time fails the cases that count', async () => {
    const report = await runConformance(open(SendsAllAgain), { only: ['rs'] })
    expect(report.failed.map(({ id }) => id)).toEqual(['rs.resent'])
  })
})

describe('every mutant fails the cases that are meant for it', () => {
  for (const { name, fault, killedBy, Backend } of httpMutants)
    it(`${name}: ${fault}`, async () => {
      // A Credential with the old token may still exist, and keep it out of errors.
      server.rotate()
      const harness = { ...httpHarness(server, (options) => new Backend(options)), name }
      const report = await runConformance(harness, { only: killedBy, seed: 1 })
      expect([...new Set(report.failed.map(({ id }) => id))].sort()).toEqual([...killedBy].sort())
    })
})

/** What was skipped for another reason than its profile; except links, watching and resuming. */
function unproved({ skipped }: Report): string[] {
  const reasons = skipped.filter(({ id, reason }) => !reason.startsWith('profile ') && !/^(rs|tr|wa)\./.test(id))
  return [...new Set(reasons.map(({ id }) => id))].sort()
}

function failures(report: Report): string[] {
  return report.failed.map(({ error }) => error.message)
}
