import { fileURLToPath } from 'node:url'

/** Runs the processes of two labs alternately: whoever asks first has its turn first. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve()

  take<T>(run: () => Promise<T>): Promise<T> {
    const mine = this.#last.then(run)
    this.#last = mine.catch(() => {})
    return mine
  }
}

/** A checkout that is compared with another one. */
export interface Tree {
  /** Its root; `null`: this tree. */
  readonly root: string | null
  /** Shared with the other tree. */
  readonly turns: Turns
}

/** The variable that tells a process of the lab whose packages it is to run. */
export const TREE = 'STORED_BENCH_TREE'

const HOOK = fileURLToPath(new URL('packages-of-tree.ts', import.meta.url))

/** How a process is started that runs the sides of this tree's benches over the packages of `tree`. */
export function packagesOf(tree: Tree | undefined): { readonly env: NodeJS.ProcessEnv; readonly execArgv: string[] } {
  if (!tree?.root) return { env: {}, execArgv: [] }
  return { env: { [TREE]: tree.root }, execArgv: ['--import', HOOK] }
}
