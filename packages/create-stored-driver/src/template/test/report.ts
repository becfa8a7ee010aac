// Reports what the driver proves: `npm run report`, or only some groups or cases: `npm run report -- rg key.punct`.
// `--profile full` uses many and large blobs. `--write` also updates the capability table of the README.
import { readFile, writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import {
  formatReport,
  type Profile,
  reportJson,
  runConformance,
  showProgress,
  withCapabilities,
} from '@stored/conformance'
import { harness } from './harness.ts'

const README = new URL('../README.md', import.meta.url)

const { values, positionals: only } = parseArgs({
  options: { profile: { type: 'string', default: 'quick' }, write: { type: 'boolean', default: false } },
  allowPositionals: true,
})
const profile = values.profile as Profile
const options = { profile, ...showProgress(), ...(only.length > 0 && { only }) }
const report = await runConformance(harness, options)
console.log(formatReport(report))
if (values.write) await writeFile(README, withCapabilities(await readFile(README, 'utf8'), reportJson(report)))
// Exit at once: anything the driver left open would keep the process alive.
if (!report.passed) process.exit(1)
