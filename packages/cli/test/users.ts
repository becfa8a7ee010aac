import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const SOURCE = fileURLToPath(new URL('../src/bin.ts', import.meta.url))

export const isRoot = process.getuid?.() === 0
/** Part of a title: why tests that need root are skipped. */
export const WHY_ROOT = isRoot ? '' : ' (skipped: only root can hand files over to another user)'

/** A user with fewer rights than root, to run the command as; `undefined`: the user who runs the tests. */
export const NOBODY = isRoot ? 65_534 : undefined
/** Whether the command can be run as that user. */
export const mayRun =
  spawnSync(process.execPath, ['--check', SOURCE], { ...(NOBODY !== undefined && { uid: NOBODY }) }).status === 0
/** Part of a title: why tests that run as that user are skipped. */
export const WHY_NOBODY = mayRun ? '' : ' (skipped: another user may not read this directory)'
