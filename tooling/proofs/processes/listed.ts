interface Entry {
  readonly key: string
  readonly id: string
}

/**
 * The checksum of each listed key.
 *
 * @throws If a key comes twice, or is not in `keys`: by its values alone such a listing would look right.
 */
export async function valuesOf(
  entries: AsyncIterable<Entry>,
  keys: readonly string[],
): Promise<Readonly<Record<string, string>>> {
  const values: Record<string, string> = {}
  for await (const { key, id } of entries) {
    if (key in values) throw new Error(`${key} is listed twice`)
    if (!keys.includes(key)) throw new Error(`${key} is listed, and was never put`)
    values[key] = id.slice('sha256:'.length)
  }
  return values
}
