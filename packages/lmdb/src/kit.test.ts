import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import type { TreeLedger } from '@stored/ledger'
import { CASES, type LedgerHarness, type Peer, runCase } from '@stored/ledger/kit'
import { testDirectory } from '@stored/testing/directory'
import { test } from 'vitest'
import { LmdbLedger } from './lmdb-ledger.ts'

const hasStrace = spawnSync('strace', ['-f', 'true']).status === 0

const directories = new WeakMap<TreeLedger, string>()
const directoryOf = (ledger: TreeLedger) => directories.get(ledger) as string

async function openAt(path: string): Promise<LmdbLedger> {
  const ledger = await LmdbLedger.open({ path, reserve: 0 })
  directories.set(ledger, path)
  return ledger
}

const PEER = `
  import { peerOf } from ${JSON.stringify(import.meta.resolve('@stored/ledger/kit'))}
  import { LmdbLedger } from ${JSON.stringify(new URL('lmdb-ledger.ts', import.meta.url).href)}
  const peer = peerOf(await LmdbLedger.open({ path: process.argv[1], reserve: 0 }))
  process.on('message', async ({ method, args }) => {
    const answer = await peer[method](...args)
    process.send({ answer }, () => method === 'close' && process.disconnect())
  })
  process.send({})
`

/** A second handle in a process of its own: one process opens a store once. */
async function openPeer(ledger: TreeLedger): Promise<Peer> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', PEER, directoryOf(ledger)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const ended = once(child, 'close')
  const answered = async () => ((await once(child, 'message')) as [{ answer: never }])[0].answer
  await answered()
  const ask = (method: keyof Peer, ...args: unknown[]) => {
    child.send({ method, args })
    return answered()
  }
  return {
    run: (steps) => ask('run', steps),
    rows: () => ask('rows'),
    events: () => ask('events'),
    close: async () => {
      await ask('close')
      await ended
    },
  }
}

/** No page of the index can be written, alone or with others. */
async function failCommits(ledger: TreeLedger): Promise<() => Promise<void>> {
  const fault = ['-P', `${directoryOf(ledger)}/index.mdb`, '-e', 'inject=pwrite64,pwritev,writev:error=EIO']
  const tracer = spawn('strace', ['-f', '-o', '/dev/null', ...fault, '-p', `${process.pid}`], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const ended = once(tracer, 'close')
  await once(tracer.stderr, 'data')
  return async () => {
    tracer.kill()
    await ended
  }
}

async function reopen(ledger: TreeLedger): Promise<TreeLedger> {
  await ledger.close()
  return openAt(directoryOf(ledger))
}

const harness: LedgerHarness = {
  open: async () => openAt(await testDirectory()),
  openPeer,
  reopen,
  ...(hasStrace && { failCommits }),
}

test.for(CASES)('LmdbLedger: $id', async (one, { skip }) => {
  const reason = await runCase(one, harness)
  if (reason !== null) skip(reason)
})
