// What the driver proves: `npm run report`, or only some groups or cases of it: `npm run report -- rg key.punct`.
// `npm run report -- --write` writes the capability table of the README as well.
import { readFile, writeFile } from 'node:fs/promises'
import { formatReport, reportJson, runConformance, withCapabilities } from '@stored/conformance'
import { harness } from './harness.ts'

const README = new URL('../README.md', import.meta.url)

const only = process.argv.slice(2).filter((arg) => arg !== '--write')
const report = await runConformance(harness, only.length > 0 ? { only } : {})
console.log(formatReport(report))
if (process.argv.includes('--write'))
  await writeFile(README, withCapabilities(await readFile(README, 'utf8'), reportJson(report)))
if (!report.passed) process.exitCode = 1
