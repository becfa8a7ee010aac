import type { Comparison, Reach } from './bench.ts'
import type { Sample } from './lab.ts'

const MIB = 1024 * 1024

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

/** What 99 of 100 values stay below. */
export function percentile99(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length * 0.99)] ?? Number.NaN
}

/** The median of what `figure` says of each sample; `null` when it cannot say it of one. */
export function medianOf(samples: readonly Sample[], figure: (sample: Sample) => number | null): number | null {
  const values = samples.map(figure)
  return values.some((value) => value === null) ? null : median(values as number[])
}

/** Counted things per second. */
export function rate({ count, seconds }: Sample): number {
  return count / seconds
}

export function mibPerSecond({ count, seconds }: Sample): number {
  return count / MIB / seconds
}

export function seconds(sample: Sample): number {
  return sample.seconds
}

/** Of processor time, for each thing counted. */
export function microsecondsPer({ processor, count }: Sample): number {
  return (processor * 1e6) / count
}

export function memoryMib({ memory }: Sample): number | null {
  return memory === null ? null : memory / MIB
}

/** What the side measured itself. */
export function told(name: string): (sample: Sample) => number {
  return ({ figures }) => figures[name] ?? Number.NaN
}

/** Flushes, and O_DSYNC writes, for each thing counted. */
export function flushesPer({ flushes, count }: Sample): number | null {
  return flushes && (flushes.flushes + flushes.dsyncWrites) / count
}

/** Bytes read, by whatever call, for each byte counted. */
export function readsPerByte({ bytesRead, count }: Sample): number | null {
  return bytesRead === null ? null : bytesRead / count
}

export interface Rival {
  readonly name: string
  readonly samples: readonly Sample[]
}

interface Compared {
  readonly bench: string
  readonly unit: string
  readonly better: 'more' | 'less'
  readonly figure: (sample: Sample) => number | null
  readonly reach?: Reach
}

/** Medians against medians: StoreD and the best of its rivals. */
export function compare(what: Compared, ours: readonly Sample[], rivals: readonly Rival[]): Comparison {
  const { bench, unit, better, figure, reach } = what
  const own = medianOf(ours, figure) ?? Number.NaN
  const [best] = rivals
    .map(({ name, samples }) => ({ name, value: medianOf(samples, figure) ?? Number.NaN }))
    .sort((a, b) => (better === 'more' ? b.value - a.value : a.value - b.value))
  const rival = best?.value ?? Number.NaN
  const ratio = better === 'more' ? own / rival : rival / own
  return { bench, ours: own, rival, rivalName: best?.name ?? '', unit, ratio, ...(reach && { reach }) }
}
