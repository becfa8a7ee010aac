// Counts what an open store does while idle: npm run test:idle [-- --seconds N] [--dir DIR]
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Activity, Trace, Watch } from './watch.ts'

/** Until V8 has finished its deferred work. */
const SETTLE_MS = 15_000
/** Until the threads that strace stopped to attach to are asleep again. */
const ATTACH_MS = 1000
const SHOWN = 20
/**
 * In every Node.js process, V8 examines its heap every 8 s for as long as nothing happens. Without that, nothing wakes
 * an idle process at all, so nothing may wake one that has a store open.
 */
const EXEC_ARGV = ['--no-memory-reducer']

/** What runs, and who syncs the store from its point of view. */
const SUBJECTS = [
  { name: 'leading', script: 'member.ts', syncing: 'here' },
  { name: 'following', script: 'member.ts', syncing: 'elsewhere' },
  { name: 'control', script: 'control.ts', syncing: 'nowhere' },
] as const

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '60' }, dir: { type: 'string', default: tmpdir() } },
})
const seconds = Number(values.seconds)
if (!(seconds > 0)) {
  console.error('usage: npm run test:idle [-- --seconds N] [--dir DIR]')
  process.exit(2)
}
if (!existsSync('/proc/self/task')) {
  console.log('skipped: there is no /proc that tells context switches')
  process.exit(0)
}

const directory = mkdtempSync(join(resolve(values.dir), 'stored-idle-'))
const children: ChildProcess[] = []
try {
  // One after the other: the first leads.
  for (const subject of SUBJECTS) children.push(await start(subject))
  await setTimeout(SETTLE_MS)
  report(await observe())
} finally {
  for (const child of children) child.kill('SIGKILL')
  rmSync(directory, { recursive: true, force: true })
}

async function start({ name, script, syncing }: (typeof SUBJECTS)[number]): Promise<ChildProcess> {
  const child = fork(fileURLToPath(new URL(script, import.meta.url)), [directory], { execArgv: EXEC_ARGV })
  const [told] = await Promise.race([once(child, 'message'), once(child, 'exit').then(() => ['ended'])])
  if (told === syncing) return child
  child.kill('SIGKILL')
  throw new Error(`${name}: syncing ${told} instead of ${syncing}`)
}

async function observe(): Promise<Activity[]> {
  const pids = children.map(({ pid }) => pid as number)
  const traces = await Promise.all(pids.map((pid) => Trace.attach(pid, join(directory, `trace-${pid}`))))
  await setTimeout(ATTACH_MS)
  const watches = pids.map((pid, i) => new Watch(pid, traces[i] ?? null))
  await setTimeout(1000 * seconds)
  return Promise.all(watches.map((watch) => watch.end()))
}

function report(activities: readonly Activity[]): void {
  const control = activities.at(-1) as Activity
  console.log(`in ${seconds} s    context switches  system calls`)
  for (const [i, activity] of activities.entries()) {
    const { contextSwitches, systemCalls } = activity
    const calls = systemCalls?.length ?? 'no strace'
    console.log(
      `  ${SUBJECTS[i]?.name.padEnd(12)} ${String(contextSwitches).padStart(15)}  ${String(calls).padStart(12)}`,
    )
    if (!exceeds(activity, control)) continue
    for (const call of systemCalls?.slice(0, SHOWN) ?? []) console.log(`    ${call}`)
    process.exitCode = 1
  }
  console.log(process.exitCode ? 'an idle store wakes up' : 'an idle store wakes up no more than Node.js alone')
}

function exceeds(activity: Activity, control: Activity): boolean {
  const calls = ({ systemCalls }: Activity) => systemCalls?.length ?? 0
  return activity.contextSwitches > control.contextSwitches || calls(activity) > calls(control)
}
