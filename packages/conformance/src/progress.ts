import type { Begun, RunOptions } from './runner.ts'

/** After so long a case is named where there is no terminal to show it on from its beginning. */
const SLOW_MS = 10_000
/** To the beginning of the line, and what stands there gone. @see ECMA-48 8.3.41 */
const CLEAR = '\r\u001b[K'

/**
 * Shows which case is run, as options of `runConformance`: on a terminal while it is run, elsewhere when it takes long.
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
