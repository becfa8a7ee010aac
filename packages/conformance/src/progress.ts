import type { Begun, RunOptions } from './runner.ts'

/** Without a terminal, a case is named after this time; on one, it is shown from the start. */
const SLOW_MS = 10_000
/** Moves to the start of the line and clears it. @see ECMA-48 8.3.41 */
const CLEAR = '\r\u001b[K'

/**
 * Options of `runConformance` that show which case is running: on a terminal while it runs, elsewhere if it takes long.
 *
 * @param to @default standard error
 */
export function showProgress(
  to: { readonly isTTY?: boolean; write(text: string): unknown } = process.stderr,
): Required<Pick<RunOptions, 'onBegin' | 'onResult'>> {
  let slow: NodeJS.Timeout | undefined
  return {
    onBegin(begun: Begun) {
      if (to.isTTY) to.write(`${CLEAR}${begun.label}`)
      else slow = setTimeout(() => to.write(`${begun.label}: ${begun.title} … for ${SLOW_MS / 1_000} s\n`), SLOW_MS)
      slow?.unref()
    },
    onResult() {
      clearTimeout(slow)
      if (to.isTTY) to.write(CLEAR)
    },
  }
}
