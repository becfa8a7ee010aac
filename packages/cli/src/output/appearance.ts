import type { Input } from '../command-line/input.ts'

/**
 * Whether to use colours and a progress line.
 *
 * @param isWatched Whether these are terminals.
 * @see https://no-color.org: any non-empty value.
 */
export function appearanceOf(
  input: Input,
  isWatched: { readonly stdout: boolean; readonly stderr: boolean },
  env: Readonly<Record<string, string | undefined>>,
): { color: boolean; progress: boolean } {
  return {
    color: isWatched.stdout && isWatched.stderr && !env.NO_COLOR && !input.has('no-color'),
    progress: isWatched.stderr && !env.CI && !input.has('quiet') && !input.has('no-progress'),
  }
}
