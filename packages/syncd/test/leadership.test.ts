import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

const MEMBER = fileURLToPath(new URL('member.ts', import.meta.url))

type Said = Record<string, unknown>

/** A process that has the store open. */
class Member {
  readonly #child: ChildProcess
  readonly #said: Said[] = []
  #arrived = Promise.withResolvers<void>()

  constructor(at: string, part: 'lead' | 'listen' = 'lead') {
    this.#child = spawn(process.execPath, [MEMBER, at, part], { stdio: ['pipe', 'pipe', 'inherit'] })
    createInterface({ input: this.#child.stdout as Readable })
      .on('line', (line) => this.#hear(JSON.parse(line) as Said))
      .on('close', () => this.#hear({ ended: true }))
  }

  #hear(said: Said): void {
    this.#said.push(said)
    this.#arrived.resolve()
    this.#arrived = Promise.withResolvers()
  }

  /** Its next message that contains this, or one not requested before. Rejects if it ends without. */
  async says(what: string): Promise<unknown> {
    while (true) {
      const at = this.#said.findIndex((said) => what in said)
      if (at >= 0) return this.#said.splice(at, 1)[0]?.[what]
      if (this.#said.some((said) => 'ended' in said)) throw new Error(`it ended without saying "${what}"`)
      await this.#arrived.promise
    }
  }

  tell(command: 'ring' | 'commit' | 'close'): void {
    ;(this.#child.stdin as Writable).write(`${command}\n`)
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    this.#child.kill('SIGKILL')
    await once(this.#child, 'exit')
  }
}

let directory: string
let members: Member[]

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'stored-members-'))
  members = []
})

afterEach(async () => {
  await Promise.all(members.map((member) => member.end()))
  await rm(directory, { recursive: true })
})

function start(part?: 'lead' | 'listen', at = directory): Member {
  const member = new Member(at, part)
  members.push(member)
  return member
}

async function startLeader(at?: string): Promise<Member> {
  const leader = start('lead', at)
  expect(await leader.says('leads')).toBe(true)
  return leader
}

async function startFollower(part?: 'lead' | 'listen', at?: string): Promise<Member> {
  const follower = start(part, at)
  expect(await follower.says('leads')).toBe(false)
  return follower
}

async function sockets(): Promise<number> {
  return (await readdir(directory)).filter((file) => file.startsWith('syncer-')).length
}

test('of ten processes that open a store at the same moment one leads', async () => {
  const ten = Array.from({ length: 10 }, () => start())
  const leads = await Promise.all(ten.map((member) => member.says('leads')))
  expect(leads.filter(Boolean)).toHaveLength(1)
  await expect.poll(() => sockets()).toBe(1)
})

describe('when the leader is killed', () => {
  test('one of those that may lead takes over, and those that may not follow it', async () => {
    const leader = await startLeader()
    const heirs = [await startFollower(), await startFollower()]
    const listener = await startFollower('listen')
    await leader.end()
    const heir = await Promise.race(heirs.map((one) => one.says('leads').then(() => one)))
    heir.tell('commit')
    await heir.says('committed')
    listener.tell('ring')
    await heir.says('rang')
    await expect.poll(() => sockets()).toBe(1)
  })

  test('with nobody else there, the next to open the store leads and removes its socket', async () => {
    await (await startLeader()).end()
    expect(await sockets()).toBe(1)
    await startLeader()
    await expect.poll(() => sockets()).toBe(1)
  })
})

test('when the leader closes, another takes over, and no socket is left once all have closed', async () => {
  const leader = await startLeader()
  const follower = await startFollower()
  leader.tell('close')
  expect(await follower.says('leads')).toBe(true)
  await leader.says('closed')
  follower.tell('close')
  await follower.says('closed')
  expect(await sockets()).toBe(0)
})

test('a leader that was stopped is replaced after a ring; when it goes on, its commit is refused and it follows', async () => {
  const leader = await startLeader()
  const follower = await startFollower()
  leader.signal('SIGSTOP')
  follower.tell('ring')
  expect(await follower.says('leads')).toBe(true)
  leader.tell('commit')
  leader.signal('SIGCONT')
  // By the refusal, or by the follower hanging up, whichever comes first.
  expect(await leader.says('leads')).toBe(false)
  expect(await leader.says('refused')).toBe('CONFLICT')
  leader.tell('ring')
  await follower.says('rang')
})

test('every process hears of what another committed', async () => {
  const [leader, follower, listener] = [await startLeader(), await startFollower(), await startFollower('listen')]
  // A new process is rung once.
  await Promise.all([follower.says('rang'), listener.says('rang')])
  listener.tell('ring')
  await Promise.all([leader.says('rang'), follower.says('rang')])
  leader.tell('ring')
  await Promise.all([follower.says('rang'), listener.says('rang')])
})

test('in a directory with a long path they find each other, and take over', async () => {
  const long = path.join(directory, 'd'.repeat(120), 'e'.repeat(120))
  await mkdir(long, { recursive: true })
  const leader = await startLeader(long)
  const follower = await startFollower('lead', long)
  await leader.end()
  expect(await follower.says('leads')).toBe(true)
})

test('an open store alone keeps no process running', async () => {
  await startLeader()
  const script = `
    import { LmdbLedger } from ${JSON.stringify(import.meta.resolve('@stored/lmdb'))}
    import { Leadership } from ${JSON.stringify(new URL('../src/coordination/leadership.ts', import.meta.url).href)}
    const directory = process.argv[1]
    const ledger = await LmdbLedger.open({ path: directory, reserve: 0 })
    const member = await Leadership.open({ ledger, directory, lead: true, onError: console.error })
    member.ring()
  `
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, directory], { stdio: 'inherit' })
  expect(await once(child, 'exit')).toEqual([0, null])
})
