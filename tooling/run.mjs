// Runs a task of this repository on its own pinned Node.js and pnpm, installing what is missing first.
// Needs only Node.js 20 and npm: `npm test`, `npm run demo`.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const toolchain = join(root, 'tooling', 'toolchain')
const host = `${process.platform}-${process.arch}`
// Other platforms, and Linux without glibc, use their own Node.js, and the pinned pnpm through npx.
const pinned = ['linux-x64', 'linux-arm64'].includes(host) && usesGlibc()

const tasks = {
  build: [['turbo', 'run', 'build', '--output-logs=errors-only']],
  test: [['vitest', 'run']],
  kill: [['node', 'tooling/proofs/kill/run.ts']],
  'kill-remote': [['node', 'tooling/proofs/kill-remote/run.ts']],
  inject: [['node', 'tooling/proofs/inject/run.ts']],
  processes: [['node', 'tooling/proofs/processes/run.ts']],
  power: [['node', 'tooling/proofs/power/run.ts']],
  upgrade: [['node', 'tooling/proofs/upgrade/run.ts']],
  full: [['node', 'tooling/proofs/full/run.ts']],
  mutants: [
    [
      ...['vitest', 'run', '--config', 'packages/node/test/mutants/vitest.config.ts'],
      'packages/node/test/mutants/storms.mutants.ts',
    ],
  ],
  idle: [['node', 'tooling/proofs/idle/run.ts']],
  bench: [['node', 'tooling/bench/run.ts']],
  demo: [['node', 'tooling/demo/run.ts']],
  // What was found the last time is kept: most of it still holds.
  types: [['tsc', '-p', '.', '--incremental', '--tsBuildInfoFile', 'node_modules/.cache/types.tsbuildinfo']],
  lint: [['biome', 'check', '.']],
  arrows: [['node', 'tooling/checks/arrows.ts']],
  lines: [['node', 'tooling/checks/lines.ts']],
  packages: [
    ['turbo', 'run', 'build', '--output-logs=errors-only'],
    ['node', 'tooling/checks/packages.ts'],
  ],
  docs: [
    ['node', 'tooling/followers/docs/api.ts'],
    ['turbo', 'run', 'build', '--output-logs=errors-only'],
    ['node', 'tooling/followers/docs/run.ts'],
  ],
  'first-hour': [
    ['turbo', 'run', 'build', '--output-logs=errors-only'],
    ['node', 'tooling/followers/first-hour/run.ts'],
  ],
  api: [['node', 'tooling/followers/docs/api.ts']],
  'driver-guide': [
    ['turbo', 'run', 'build', '--output-logs=errors-only'],
    ['node', 'tooling/followers/driver-guide/run.ts'],
  ],
  reports: [['node', 'tooling/followers/reports/run.ts']],
  format: [['biome', 'check', '--write', '.']],
}
tasks.check = ['lint', 'types', 'arrows', 'test', 'packages', 'docs'].flatMap((task) => tasks[task])

function usesGlibc() {
  return process.report.getReport().header.glibcVersionRuntime !== undefined
}

/** Whether this Node.js is one that the packages run on, by their `engines`. */
function isSupported(range) {
  const [major, minor, patch] = process.versions.node.split('.').map(Number)
  return range.split(' || ').some((part) => {
    const [first, second, third] = part.replace(/^\D+/, '').split('.').map(Number)
    if (major !== first) return part.startsWith('>=') && major > first
    return minor !== second ? minor > second : patch >= third
  })
}

/** Says in a line which Node.js is needed, before anything is installed. */
function requireNode() {
  const { node } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).engines
  const isEnough = pinned ? Number.parseInt(process.versions.node, 10) >= 20 : isSupported(node)
  if (isEnough) return
  const needed = pinned ? '20 or newer to begin' : `${node}, since none is pinned for ${host}`
  console.error(`this repository needs Node.js ${needed}; this is ${process.versions.node} (${process.execPath})`)
  process.exit(1)
}

function run(command, args, options = {}) {
  const { status, signal, error } = spawnSync(command, args, { stdio: 'inherit', cwd: root, ...options })
  if (error) throw error
  if (status !== 0) process.exit(status ?? (signal === 'SIGINT' ? 130 : 1))
}

/** Runs `action` unless `stamp` says that it ran already on the same inputs. */
function once(stamp, inputs, action) {
  const hash = createHash('sha256').update(host)
  for (const input of inputs) hash.update(readFileSync(input))
  const digest = hash.digest('hex')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) return
  action()
  mkdirSync(dirname(stamp), { recursive: true })
  writeFileSync(stamp, digest)
}

/** Puts the pinned programs on PATH and returns the command that starts pnpm. */
function prepareToolchain() {
  if (!pinned) return ['npx', '--yes', JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).packageManager]
  const modules = join(toolchain, 'node_modules')
  once(join(modules, '.stamp'), [join(toolchain, 'package-lock.json')], () =>
    run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: toolchain }),
  )
  const programs = [join(modules, `node-${host}`, 'bin'), join(modules, '@pnpm', `exe.${host}`)]
  process.env.PATH = [...programs, process.env.PATH].join(delimiter)
  return ['pnpm']
}

const [task, ...args] = process.argv.slice(2)
if (!Object.hasOwn(tasks, task ?? '')) {
  console.error(`usage: node tooling/run.mjs ${Object.keys(tasks).join('|')} [arguments]`)
  process.exit(2)
}
requireNode()
Object.assign(process.env, { TURBO_TELEMETRY_DISABLED: '1', TURBO_NO_UPDATE_NOTIFIER: '1', DO_NOT_TRACK: '1' })
const [pnpm, ...prefix] = prepareToolchain()
once(
  join(root, 'node_modules', '.install-stamp'),
  [join(root, 'pnpm-lock.yaml'), join(root, 'pnpm-workspace.yaml')],
  () =>
    // Where nobody can answer, pnpm would rather fail than replace packages that another version installed.
    run(pnpm, [...prefix, 'install', '--frozen-lockfile', '--config.confirm-modules-purge=false', '--loglevel=warn']),
)
const steps = tasks[task]
for (const [i, step] of steps.entries())
  run(pnpm, [...prefix, 'exec', ...step, ...(i === steps.length - 1 ? args : [])])
