// One build for every package: an entry for each `exports` of its package.json that names a source file.
import { readFileSync } from 'node:fs'
import { defineConfig } from 'tsup'

interface Manifest {
  exports: Record<string, string>
  /** Commands, by name. */
  bin?: Record<string, string>
  /** Files that are loaded by URL and so have to be files of their own: worker threads. */
  workers?: string[]
}

const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as Manifest
const sources = Object.values(manifest.exports).filter((file) => file.endsWith('.ts'))

export default defineConfig({
  entry: [...sources, ...Object.values(manifest.bin ?? {}), ...(manifest.workers ?? [])],
  format: 'esm',
  dts: { entry: sources },
  sourcemap: true,
  clean: true,
  target: 'node22',
  removeNodeProtocol: false,
  tsconfig: '../../tsconfig.json',
})
