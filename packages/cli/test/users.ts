import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const SOURCE = fileURLToPath(new URL('../src/bin.ts', import.meta.url))

export const isRoot = process.getuid?.() === 0
/** For a title: why tests that need root are skipped. */
export const WHY_ROOT = isRoot ? '' : ' (skipped: only root can hand files over to another user)'

/** Somebody who may do less than root, to run the command as; `undefined`: whoever runs the tests. */
export const NOBODY = isRoot ? 65_534 : undefined
/** Whether the command can be run so. */
export const mayRun =
  spawnSync(process.execPath, ['--check', SOURCE], { ...(NOBODY !== undefined && { uid: NOBODY }) }).status === 0
/** For a title: why tests that run it so are skipped. */
export const WHY_NOBODY = mayRun ? '' : ' (skipped: another user may not read this directory)'
