const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB']

/** Bytes in decimal units, as disks are labelled. */
export function bytes(value: number): string {
  let unit = 0
  let scaled = value
  for (; scaled >= 999.95 && unit < UNITS.length - 1; unit++) scaled /= 1000
  return `${unit === 0 ? Math.round(scaled) : scaled.toFixed(1)} ${UNITS[unit]}`
}

export function count(value: number, one: string, many = `${one}s`): string {
  return `${value.toLocaleString('en')} ${value === 1 ? one : many}`
}

/** A time in milliseconds since the epoch, formatted in UTC to the second. */
export function time(value: number): string {
  return new Date(value).toISOString().replace('T', ' ').slice(0, 19)
}

/** A duration in milliseconds: `3 s`, `2:05`, `1:02:03`. */
export function span(value: number): string {
  const seconds = Math.max(0, Math.round(value / 1000))
  if (seconds < 60) return `${seconds} s`
  const two = (part: number) => String(part).padStart(2, '0')
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes}:${two(seconds % 60)}`
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(seconds % 60)}`
}

/** An id shortened for a column, still long enough to tell blobs apart by eye. */
export function shortId(id: string): string {
  return id.slice(0, 'sha256:'.length + 12)
}
