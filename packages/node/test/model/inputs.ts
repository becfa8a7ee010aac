import type { Parameters } from 'fast-check'

/**
 * What repeats a run that failed, from the environment, as it was printed: `MODEL_SEED=1 MODEL_PATH=2:0 MODEL_REPLAY=AB:C npm test
 * -- packages/node/test/model/model.test.ts`; `MODEL_SHRINK=0` does without a smaller one. `MODEL_SEQUENCES` and `MODEL_SCHEDULES`
 * say how many there are.
 */
export function checkParameters(): Pick<Parameters<unknown>, 'seed' | 'path' | 'endOnFailure'> {
  const { MODEL_SEED: seed, MODEL_PATH: path, MODEL_SHRINK: shrink } = process.env
  return { ...(seed && { seed: Number(seed) }), ...(path && { path }), ...(shrink === '0' && { endOnFailure: true }) }
}

/** Of commands: which of them ran. */
export function replayPath(): { replayPath?: string } {
  const { MODEL_REPLAY: path } = process.env
  return path ? { replayPath: path } : {}
}
