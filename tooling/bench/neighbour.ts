import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Params } from './side.ts'

const SUBJECT = fileURLToPath(new URL('subject.ts', import.meta.url))

/** A process beside the one that is measured. */
export interface Neighbour {
  /** @throws When it ended by itself, and so was not there all the time. */
  end(): void
}

/** Starts a side that works until it is killed. @returns Once it is at work: it called `start`. */
export async function startNeighbour(
  bench: string,
  side: string,
  directory: string,
  params: Params = {},
): Promise<Neighbour> {
  const child = fork(SUBJECT, [bench, side, directory, JSON.stringify(params)])
  await once(child, 'message')
  child.send('go')
  return {
    end: () => {
      if (child.exitCode !== null) throw new Error(`a neighbour ended with ${child.exitCode}`)
      child.kill('SIGKILL')
    },
  }
}
