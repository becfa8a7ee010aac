import { readFileSync, statfsSync } from 'node:fs'
import { availableParallelism, cpus, release, type } from 'node:os'
import type { Change } from './against.ts'
import type { Comparison } from './bench.ts'

/** File systems by what statfs(2) says of them. */
const FILE_SYSTEMS: Readonly<Record<number, string>> = {
  61267: 'ext4',
  1481003842: 'xfs',
  2435016766: 'btrfs',
  16914836: 'tmpfs',
  2035054128: 'overlayfs',
}

/** One line for programs. */
export function toJson({ bench, ours, rival, rivalName, unit, ratio }: Comparison): string {
  return JSON.stringify({ bench, ours, rival, rivalName, unit, ratio })
}

export function describeMachine(directory: string): string {
  const kind = FILE_SYSTEMS[statfsSync(directory).type] ?? 'unknown file system'
  const cpu = cpus()[0]?.model ?? 'unknown CPU'
  const lines = [`${availableParallelism()} × ${cpu} · ${type()} ${release()} · Node.js ${process.version} · ${kind}`]
  if (kind === 'tmpfs') lines.push('WARNING: tmpfs flushes nothing. Durable figures mean nothing here: use --dir.')
  const load = loadAverage()
  if (load !== null && load > 0.5) lines.push(`WARNING: the machine is busy (load ${load}): ratios may be off.`)
  return lines.join('\n')
}

/** A table for people. */
export function toTable(comparisons: readonly Comparison[]): string {
  const head = ['bench', 'unit', 'StoreD', 'rival', 'ratio', 'reach', '', 'against']
  const rows = comparisons.map((comparison) => {
    const { bench, unit, ours, rival, rivalName, ratio } = comparison
    return [
      bench,
      unit,
      number(ours),
      number(rival),
      number(ratio),
      describeReach(comparison),
      verdict(comparison),
      rivalName,
    ]
  })
  return aligned(head, rows, (i) => i >= 2 && i <= 4)
}

/** A table of two trees, for people. */
export function toChangeTable(changes: readonly Change[]): string {
  const head = ['bench', 'unit', 'now', 'before', 'now/before', 'ratio now', 'ratio before', 'against']
  const rows = changes.map(({ bench, unit, now, before, change, beside }) => {
    const rival = beside ? [number(beside.now), number(beside.before), beside.name] : ['', '', '']
    return [bench, unit, number(now), number(before), number(change), ...rival]
  })
  return aligned(head, rows, (i) => i >= 2 && i <= 6)
}

function aligned(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  isNumber: (column: number) => boolean,
): string {
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)))
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) => (isNumber(i) ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
      .join('  ')
      .trimEnd()
  return [line(head), line(widths.map((width) => '─'.repeat(width))), ...rows.map(line)].join('\n')
}

function describeReach({ reach }: Comparison): string {
  if (!reach) return ''
  if ('atMost' in reach) return `StoreD ≤ ${reach.atMost}`
  if ('atMostMore' in reach) return `≤ rival + ${reach.atMostMore}`
  return `≥ ${reach.ratio}${reach.stretch === undefined ? '' : `, stretch ${reach.stretch}`}`
}

function verdict({ reach, ratio, ours, rival }: Comparison): string {
  if (!reach) return ''
  if ('atMost' in reach) return ours <= reach.atMost ? 'reached' : 'SHORT'
  if ('atMostMore' in reach) return ours <= rival + reach.atMostMore ? 'reached' : 'SHORT'
  if (reach.stretch !== undefined && ratio >= reach.stretch) return 'stretch'
  return ratio >= reach.ratio ? 'reached' : 'SHORT'
}

function number(value: number): string {
  if (Number.isNaN(value)) return 'unknown'
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en')
  return value.toFixed(Math.abs(value) >= 10 ? 1 : Math.abs(value) >= 0.1 ? 2 : 4)
}

function loadAverage(): number | null {
  try {
    return Number(readFileSync('/proc/loadavg', 'utf8').split(' ')[0])
  } catch {
    // No procfs: nothing to warn of.
    return null
  }
}
