import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'

/** Everything loaded before a command runs: modules imported statically, not with `import()`. */
async function loadedBy(file: URL, met = new Set<string>()): Promise<Set<string>> {
  if (met.has(file.href)) return met
  met.add(file.href)
  const text = await readFile(file, 'utf8')
  for (const [, types, specifier = ''] of text.matchAll(/^(?:import|export)(?: (type) | )[^'()]*?from '([^']+)'/gm)) {
    if (types !== undefined) continue
    if (specifier.startsWith('.')) await loadedBy(new URL(specifier, file), met)
    else met.add(specifier)
  }
  return met
}

describe('stored, until it knows the command', () => {
  it('loads only its own modules and what Node.js has loaded anyway', async () => {
    const met = await loadedBy(new URL('../src/bin.ts', import.meta.url))
    const loaded = [...(await loadedBy(new URL('../src/main.ts', import.meta.url), met))]
    expect(loaded.filter((one) => !one.startsWith('file:')).sort()).toEqual([
      '@stored/core/printable',
      '@stored/core/runtime',
      'node:events',
      'node:util',
    ])
    expect(loaded.filter((one) => one.includes('/commands/'))).toEqual([])
    expect(loaded.length).toBeGreaterThan(5)
  })
})
