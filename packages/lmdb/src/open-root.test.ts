import { spawnSync } from 'node:child_process'
import { testDirectory } from '@stored/testing/directory'
import { beforeEach, expect, test } from 'vitest'

let directory: string
beforeEach(async () => {
  directory = await testDirectory()
})

const here = (module: string) => JSON.stringify(new URL(module, import.meta.url).href)
const OPEN = `
  import { LmdbLedger } from ${here('lmdb-ledger.ts')}
  import { writerOf } from ${JSON.stringify(import.meta.resolve('@stored/ledger'))}
  const ledger = await LmdbLedger.open({ path: 'store', reserve: 0 })
`
const HOLDS = `${OPEN}
  console.log('held')
  for await (const _ of process.stdin);
  await ledger.close()
`
/** Says that it opens the file, and is killed. */
const DIES = `
  import { Presence } from ${here('presence.ts')}
  ;(await Presence.open('store/opening.mdb')).enter()
  process.kill(process.pid, 'SIGKILL')
`
const COMMITS = `${OPEN}
  await ledger.transact((tx) => writerOf(tx).put('keys', Buffer.from('row'), Buffer.from('value')))
  console.log('committed by', process.pid)
  await ledger.close()
`
/** The pids of a PID namespace are given out one after the other: who comes after 999 is 1000, as often as nobody is. */
const SCRIPT = `
  as_1000() { echo 999 > /proc/sys/kernel/ns_last_pid && "$node" --input-type=module -e "$1"; }
  node=$1
  mkfifo hold said
  "$node" --input-type=module -e "$2" < hold > said &
  exec 3> hold 4< said
  read -r held <&4
  as_1000 "$3"
  as_1000 "$4"
  exec 3>&-
  wait
`
const NAMESPACE = ['--pid', '--fork', '--mount-proc']
const reason =
  spawnSync('unshare', [...NAMESPACE, 'sh', '-c', 'echo 9 > /proc/sys/kernel/ns_last_pid']).status === 0
    ? ''
    : ' (skipped: choosing pids needs Linux and root)'

test.skipIf(reason !== '')(
  `LmdbLedger.open() by a process whose pid another one had, which was killed as it opened the store, commits${reason}`,
  () => {
    const args = [...NAMESPACE, 'sh', '-c', SCRIPT, 'sh', process.execPath, HOLDS, DIES, COMMITS]
    const { stdout, stderr } = spawnSync('unshare', args, { cwd: directory, encoding: 'utf8' })
    expect(stdout, stderr).toBe('committed by 1000\n')
  },
)
