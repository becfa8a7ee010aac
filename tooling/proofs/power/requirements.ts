import { spawnSync } from 'node:child_process'

/** @see https://www.flamingspork.com/projects/libeatmydata: makes flushes do nothing, in the process it is preloaded into */
export const WITHOUT_FLUSHES = { LD_PRELOAD: 'libeatmydata.so' } as const

/** Each with arguments that do nothing, and its Debian package. */
const PROGRAMS = [
  ['mkfs.ext4', '-V', 'e2fsprogs'],
  ['mkfs.xfs', '-V', 'xfsprogs'],
  ['xfs_io', '-V', 'xfsprogs'],
  ['losetup', '--version', 'mount'],
  ['mount', '--version', 'mount'],
] as const

/** @returns Why power cannot be cut on this machine; `null` if it can, as far as is known without trying. */
export function whyNot(): string | null {
  if (process.platform !== 'linux') return 'FS_IOC_SHUTDOWN is for Linux'
  if (process.getuid?.() !== 0) return 'only root may mount'
  for (const [program, option, from] of PROGRAMS)
    if (spawnSync(program, [option]).error) return `${program} is not installed (${from})`
  const namespace = spawnSync('unshare', ['--mount', 'true'], { encoding: 'utf8' })
  if (namespace.status !== 0)
    return `there are no namespaces for mounts: ${namespace.error?.message ?? namespace.stderr.trim()}`
  const { stderr } = spawnSync('true', [], { env: { ...process.env, ...WITHOUT_FLUSHES }, encoding: 'utf8' })
  // Without a control that loses what it acknowledged, a run that loses nothing proves nothing.
  return stderr === '' ? null : 'libeatmydata is not installed (libeatmydata1)'
}
