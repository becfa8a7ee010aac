// Cuts the power of a working store repeatedly and checks what is left, on ext4 and on XFS. Needs root and loop
// devices: npm run test:power [-- N] [--seed S] [--dir DIR] [--keep]
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { whyNot } from './requirements.ts'

const CYCLES = fileURLToPath(new URL('cycles.ts', import.meta.url))

const reason = whyNot()
if (reason !== null) console.log(`skipped: ${reason}`)
else {
  // In its own namespace the mounts are invisible to others, who would keep a file system alive that must be remounted;
  // and however this ends, the kernel unmounts them.
  const options = ['--mount', '--propagation', 'private']
  const cycles = spawn('unshare', [...options, process.execPath, CYCLES, ...process.argv.slice(2)], {
    stdio: 'inherit',
  })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => cycles.kill(signal))
  cycles.once('exit', (code) => {
    process.exitCode = code ?? 1
  })
}
