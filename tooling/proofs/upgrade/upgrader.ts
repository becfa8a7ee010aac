// Upgrades a store: node upgrader.ts DIRECTORY. It says when it begins, and when it has ended.
import { upgradeStore } from '@stored/node'

const [directory] = process.argv.slice(2) as [string]
console.log('begins')
await upgradeStore({ path: directory })
console.log('ended')
