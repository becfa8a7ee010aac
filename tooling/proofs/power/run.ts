// Cuts the power of a working store again and again and looks at what is left, on ext4 and on XFS. Needs root and loop devices:
// npm run test:power [-- N] [--seed S] [--dir DIR] [--keep]
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { whyNot } from './requirements.ts'

const CYCLES = fileURLToPath(new URL('cycles.ts', import.meta.url))

const reason = whyNot()
if (reason !== null) console.log(`skipped: ${reason}`)
else {
  // In a namespace of its own nobody else sees the mounts, who would keep a file system alive that is to be mounted anew; and
  // whatever ends this, the kernel takes them away.
  const options = ['--mount', '--propagation', 'private']
  const cycles = spawn('unshare', [...options, process.execPath, CYCLES, ...process.argv.slice(2)], {
    stdio: 'inherit',
  })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => cycles.kill(signal))
  cycles.once('exit', (code) => {
    process.exitCode = code ?? 1
  })
}
