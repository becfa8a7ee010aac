// What a child process of the lab runs: node subject.ts BENCH SIDE DIRECTORY PARAMS
import type { Bench, Params, Subject } from './bench.ts'
import { benches } from './benches.ts'

/** What a child tells the lab. */
export type Report = { readonly type: 'ready' } | { readonly type: 'done'; readonly count: number; readonly seconds: number }
/** What the lab answers. */
export type Command = 'go' | 'end'

const [name, side, directory, params] = process.argv.slice(2) as [string, string, string, string]

class Child implements Subject {
  readonly directory = directory
  readonly params = JSON.parse(params) as Params
  #began = 0

  async start(): Promise<void> {
    tell({ type: 'ready' })
    await hear('go')
    this.#began = performance.now()
  }

  async stop(count: number): Promise<void> {
    tell({ type: 'done', count, seconds: (performance.now() - this.#began) / 1000 })
    await hear('end')
  }
}

function tell(report: Report): void {
  process.send?.(report)
}

function hear(expected: Command): Promise<void> {
  return new Promise((resolve, reject) => {
    process.once('message', (command) => (command === expected ? resolve() : reject(new Error(`told ${command}`))))
  })
}

const run = (benches as Readonly<Record<string, Bench>>)[name]?.sides[side]
if (!run) throw new Error(`no side ${JSON.stringify(side)} in ${JSON.stringify(name)}`)
// A parent that is gone wants no results.
process.once('disconnect', () => process.exit(1))
await run(new Child())
process.exit(0)
