import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { STORAGE_ERROR_CODES, StorageError, type StorageErrorCode } from '../../packages/core/src/backend/error.ts'
import { decide, verdictOn } from '../../packages/syncd/src/work/policy.ts'

const directory = fileURLToPath(new URL('../../docs/errors/', import.meta.url))
const INTRODUCTION = `# Error codes

Every call of StoreD, and every driver, rejects with a \`StorageError\`. Branch on its \`code\`; \`message\` is for people and may change. \`at\` says where the call
failed, \`cause\` holds the original error, and \`url\` is the page about the code. \`retryable\` means that the same call may succeed later with nothing changed.
\`ambiguous\` means that a write may have landed although it was rejected.

Generated from the pages by \`vitest run tooling/checks/errors.test.ts -u\`; the test compares it.
`

/** The title, the meaning, and what the page says about retrying. */
function read(code: string): { title: string; meaning: string; retries: string } {
  const [title = '', meaning = '', retries = ''] = readFileSync(`${directory}${code}.md`, 'utf8').split('\n\n')
  return { title, meaning, retries }
}

/** What a page says about a job that fails with `error` for the first time. */
function fate(error: StorageError): string {
  const verdict = verdictOn('backend', error)
  const decision = decide(error, { attempts: 1, verdict, isProbe: false })
  if (decision.park) return 'A job that fails with it is parked.'
  if (verdict === 'unusable') return 'A job that fails with it waits and loses no attempt; its backend is `unusable`'
  if (decision.free) return 'A job that fails with it waits as long as it was asked to'
  return 'A job that fails with it is tried again, 25 times at most.'
}

function row(code: StorageErrorCode): string {
  const { retryable } = new StorageError(code, { op: 'get' })
  return `| [\`${code}\`](${code}.md) | ${read(code).meaning} | ${retryable ? 'yes' : 'no'} |`
}

describe('docs/errors', () => {
  it('has a page for every code, and no page without a code', () => {
    const pages = readdirSync(directory).filter((file) => file !== 'README.md')
    expect(pages).toEqual(STORAGE_ERROR_CODES.map((code) => `${code}.md`).sort())
  })

  it.each(STORAGE_ERROR_CODES)('%s.md says what the code does', (code) => {
    const error = new StorageError(code, { op: 'put', backend: 'backend' })
    const { title, meaning, retries } = read(code)
    expect(title).toBe(`# ${code}`)
    expect(meaning).toMatch(/^[A-Z].*\.$/)
    expect(retries).toContain(`Retryable: ${error.retryable ? 'yes' : 'no'}.`)
    expect(retries).toContain(fate(error))
  })

  it('has an index', async () => {
    const table = ['| code | meaning | retryable |', '|---|---|---|', ...STORAGE_ERROR_CODES.map(row)]
    await expect(`${INTRODUCTION}\n${table.join('\n')}\n`).toMatchFileSnapshot(`${directory}README.md`)
  })
})
