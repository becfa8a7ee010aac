#!/usr/bin/env node
import { runtimeFault } from '@stored/core/runtime'

const fault = runtimeFault()
if (fault === null) {
  // Imported late: an older Node.js might not parse it.
  const { main } = await import('./main.ts')
  process.exitCode = await main(process.argv.slice(2))
} else {
  process.stderr.write(`stored: ${fault}\n`)
  process.exitCode = 1
}
