/** The longest turn of the event loop so far. */
export interface LongestTurn {
  /** Processor time of this thread, in ms: of a turn that others interrupt, what was its own. */
  readonly milliseconds: number
  stop(): void
}

/** Watches every turn, and so keeps the loop turning: what is watched is not to be timed. */
export function watchTurns(): LongestTurn {
  let longest = 0
  let before = processorTime()
  let next = setImmediate(look)
  function look(): void {
    const now = processorTime()
    longest = Math.max(longest, now - before)
    before = now
    next = setImmediate(look)
  }
  return {
    get milliseconds() {
      return longest
    },
    stop: () => clearImmediate(next),
  }
}

function processorTime(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}
