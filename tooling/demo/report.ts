import { printable } from '@stored/core/printable'
import { bytes, count, rate, table } from './format.ts'
import type { Medium } from './media.ts'
import type { Reopened } from './reopen.ts'
import type { Stored } from './store-all.ts'
import type { Skipped } from './survey.ts'
import { distinct, type Found, type Verdict } from './verify.ts'

/** How many skipped files and differences are shown. */
const SHOWN = 10
/** The longest name shown, in characters. */
const NAME_MAX = 60

export interface Run {
  readonly media: readonly Medium[]
  /** The backend that went away. */
  readonly failing: Medium
  readonly stored: Stored
  readonly found: Found
  readonly reopened: Reopened
  readonly verdict: Verdict
  /** Symbolic links that were not followed. */
  readonly links: number
  readonly skipped: readonly Skipped[]
}

/** The table at the end, and anything that needs more than a row. */
export function describeRun({ media, failing, stored, found, reopened, verdict, links, skipped }: Run): string {
  const { expected, putMs, syncedMs, retries } = stored
  const size = expected.reduce((sum, file) => sum + file.size, 0)
  const repeated = expected.length - distinct(expected).size
  const rows: [string, string][] = [
    ['files', [count(expected.length), ...describeSkipped(skipped.length, links)].join(' · ')],
    ['bytes', bytes(size)],
    ['until acknowledged', rate(expected.length, size, putMs)],
    ['until all copies were there', `${rate(expected.length, size, syncedMs)}, outage included`],
    ...media
      .filter(({ backend }) => backend.layout === 'id')
      .map(({ backend: { name } }): [string, string] => [
        'saved by dedup',
        `${bytes(size - (found.bytes[name] ?? 0))} in "${name}": ${count(repeated)} files repeat the bytes of others`,
      ]),
    [`while "${failing.backend.name}" was away`, `${count(retries)} attempts failed; their jobs were kept and retried`],
    ['time to reopen', `${reopened.milliseconds.toFixed(0)} ms in a new process, until the first blob was read`],
    ...Object.entries(verdict.counts).map(([what, number]): [string, string] => [`verified, ${what}`, count(number)]),
    ['differences', count(verdict.differences.length)],
  ]
  if (found.temporary > 0)
    rows.push([
      'temporary files',
      `${count(found.temporary)} in .stored/tmp, cut off by the outage: hidden, and swept by a start an hour later`,
    ])
  return [
    table(rows),
    ...excerpt(
      'skipped',
      skipped.map(({ name, why }) => `${JSON.stringify(shorten(name))}: ${why}`),
    ),
    ...excerpt('DIFFERENCES', verdict.differences),
  ].join('\n')
}

function describeSkipped(skipped: number, links: number): string[] {
  return [
    ...(skipped > 0 ? [`${count(skipped)} skipped, see below`] : []),
    ...(links > 0 ? [`${count(links)} symbolic ${links === 1 ? 'link' : 'links'} not followed`] : []),
  ]
}

function shorten(name: string): string {
  return name.length <= NAME_MAX ? name : `${name.slice(0, NAME_MAX)}…`
}

function excerpt(title: string, lines: readonly string[]): string[] {
  if (lines.length === 0) return []
  const shown = lines.slice(0, SHOWN).map((line) => `  ${printable(line)}`)
  if (lines.length > SHOWN) shown.push(`  and ${count(lines.length - SHOWN)} more`)
  return ['', `${title}:`, ...shown]
}
