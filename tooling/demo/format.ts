export function count(value: number): string {
  return value.toLocaleString('en')
}

/** Decimal units, as disks are labelled. */
export function bytes(value: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB']
  let unit = 0
  let scaled = value
  for (; scaled >= 1000 && unit < units.length - 1; unit++) scaled /= 1000
  return `${unit === 0 ? scaled : scaled.toFixed(1)} ${units[unit]}`
}

export function rate(files: number, size: number, milliseconds: number): string {
  const seconds = milliseconds / 1000
  const perSecond = (value: number) => count(Math.round(value / seconds))
  return `${seconds.toFixed(2)} s · ${perSecond(files)} files/s · ${(size / 1e6 / seconds).toFixed(1)} MB/s`
}

/** Names on the left, values on the right. */
export function table(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length))
  return rows.map(([name, value]) => `  ${name.padEnd(width)}   ${value}`).join('\n')
}
