// What a child process of the lab runs: node subject.ts BENCH SIDE DIRECTORY PARAMS
import type { Bench } from './bench.ts'
import type { Command, Params, Report, Subject } from './side.ts'

const [name, side, directory, params] = process.argv.slice(2) as [string, string, string, string]

function makeSubject(): Subject {
  let began = 0
  let used: NodeJS.CpuUsage | undefined
  return {
    directory,
    params: JSON.parse(params) as Params,
    start: async () => {
      tell({ type: 'ready' })
      await hear('go')
      used = process.cpuUsage()
      began = performance.now()
    },
    stop: async (count, figures = {}) => {
      const seconds = (performance.now() - began) / 1000
      const { user, system } = process.cpuUsage(used)
      tell({ type: 'done', count, seconds, processor: (user + system) / 1e6, figures })
      await hear('end')
    },
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

// Its own file alone: another tree need not have the packages that other benches import.
const exported: Readonly<Record<string, unknown>> = await import(`./benches/${name}.ts`)
const bench = (Object.values(exported) as Bench[]).find((one) => one.name === name)
const run = bench?.sides[side]
if (!run) throw new Error(`no side ${JSON.stringify(side)} in ${JSON.stringify(name)}`)
// A parent that is gone wants no results.
process.once('disconnect', () => process.exit(1))
await run(makeSubject())
process.exit(0)
