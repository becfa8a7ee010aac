// Writes docs/cli.md from the table of commands.
import { writeFile } from 'node:fs/promises'
import { reference } from '../src/help/reference.ts'

await writeFile(new URL('../../../docs/cli.md', import.meta.url), reference())
