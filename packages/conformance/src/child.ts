import { fork, type StdioOptions } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import type { StorageBackend } from '@stored/core/backend'
import { BrokenPromise, within } from './expect.ts'
import { payload } from './payload.ts'
import { endIfKept } from './resources.ts'
import { chunksOf, collect } from './source.ts'

const START_MS = 20_000
const CHUNK_BYTES = 64 << 10
/** How long a process may run after its last call. */
const LINGER_MS = 2_000
const WITH_ERRORS: StdioOptions = ['ignore', 'inherit', 'pipe', 'ipc']

/** What the kit asks of a separate process. */
export interface ChildTask {
  readonly key: string
  readonly seed: number
  readonly writer: number
  readonly size: number
  /**
   * `hang`: put, and stop half-way · `resume`: the same, once a checkpoint was given · `wait`: put, stop half-way, and
   * continue on request · `race`: put, and report when the body has ended · `exit`: put, get, close.
   */
  readonly until: 'hang' | 'resume' | 'wait' | 'race' | 'exit'
}

/**
 * The whole of the module that `Harness.child` names: does what the kit asks in a process that the kit may kill.
 *
 * @param open As in the harness, on the same storage; its location is passed through the environment.
 */
export async function runChild(open: () => Promise<StorageBackend>): Promise<void> {
  const task = JSON.parse(process.argv[2] ?? '') as ChildTask
  const { signal } = new AbortController()
  const backend = await open()
  await backend.open?.({ signal, log: () => {} })
  const { promise: checkpoint, resolve } = Promise.withResolvers<string>()
  const resumable = { ...nameOf(task), onCheckpoint: async (given: string) => resolve(given) }
  await backend.put(task.key, bodyOf(task, checkpoint), {
    signal,
    size: task.size,
    ...(task.until === 'resume' && resumable),
  })
  if (task.until === 'exit') await collect((await backend.get(task.key, { signal })).body)
  await backend.close?.()
  process.disconnect()
  if (task.until === 'exit') endIfKept({ ms: LINGER_MS })
}

function nameOf({ seed, writer, size }: ChildTask): { size: number; sha256: string } {
  return {
    size,
    sha256: createHash('sha256')
      .update(payload(seed, writer, size))
      .digest('hex'),
  }
}

async function* bodyOf(
  { seed, writer, size, until }: ChildTask,
  checkpoint: Promise<string>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const chunks = chunksOf(payload(seed, writer, size), CHUNK_BYTES)
  for (const [i, chunk] of chunks.entries()) {
    if (until === 'wait' && i === Math.ceil(chunks.length / 2)) {
      const told = once(process, 'message')
      tell('reached')
      await told
    }
    if ((until === 'hang' || until === 'resume') && i === Math.ceil(chunks.length / 2)) {
      tell(until === 'hang' ? 'reached' : { checkpoint: await checkpoint })
      process.channel?.ref() // nothing else keeps this process
      await new Promise<never>(() => {})
    }
    yield chunk
  }
  if (until === 'race') tell('reached')
}

function tell(message: 'reached' | { checkpoint: string }): void {
  process.send?.(message)
}

/** Runs a task until its process says `reached`, and kills it there, as a power cut would. */
export async function killAtReached(module: string, task: ChildTask): Promise<void> {
  const said = await killWhenItSpeaks(module, task)
  if (said !== 'reached') throw new BrokenPromise(`the child process reaches its put, but it ended with ${said}`)
}

/** Runs a task until its process reports a checkpoint, and kills it there. @returns The checkpoint. */
export async function killWithCheckpoint(module: string, task: ChildTask): Promise<string> {
  const said = await killWhenItSpeaks(module, task)
  if (typeof said === 'object' && said !== null && 'checkpoint' in said) return String(said.checkpoint)
  throw new BrokenPromise(`the put of the child process gives a checkpoint, but it ended with ${said}`)
}

/** @returns Its first message, or its exit code. */
async function killWhenItSpeaks(module: string, task: ChildTask): Promise<unknown> {
  const child = fork(module, [JSON.stringify(task)])
  try {
    const ended = once(child, 'exit')
    const [said] = await within(Promise.race([once(child, 'message'), ended]), START_MS, 'the child process')
    child.kill('SIGKILL')
    await ended
    return said
  } finally {
    child.kill('SIGKILL')
  }
}

/** Runs a task that waits half-way through its put, calls `meanwhile` there, and then lets it finish. */
export async function duringPut(module: string, task: ChildTask, meanwhile: () => Promise<unknown>): Promise<void> {
  const child = fork(module, [JSON.stringify(task)], { stdio: WITH_ERRORS })
  const errors = child.stderr?.toArray() ?? Promise.resolve([])
  try {
    const ended = once(child, 'exit')
    const [said] = await within(Promise.race([once(child, 'message'), ended]), START_MS, 'the child process')
    if (said !== 'reached') throw new BrokenPromise(`the child process reaches its put, but it ended with ${said}`)
    await meanwhile()
    child.send('go on')
    const [code] = await within(ended, START_MS, 'the child process')
    if (code !== 0)
      throw new BrokenPromise(`the put of the child process ends well, but there was ${await errorIn(errors)}`)
  } finally {
    child.kill('SIGKILL')
  }
}

/** The line that says why a process died. */
async function errorIn(output: Promise<unknown[]>): Promise<string> {
  const text = Buffer.concat((await output) as Buffer[]).toString()
  return /^(?:\S*Error|the process).*$/m.exec(text)?.[0] ?? text.slice(0, 1_000)
}

/** Runs a task to its end. @returns The exit code, and the error output. */
export async function runToExit(module: string, task: ChildTask): Promise<{ code: number | null; error: string }> {
  const child = fork(module, [JSON.stringify(task)], { stdio: WITH_ERRORS })
  const errors = child.stderr?.toArray() ?? Promise.resolve([])
  try {
    const [code] = (await within(once(child, 'exit'), START_MS, 'the child process')) as [number | null]
    return { code, error: code === 0 ? '' : await errorIn(errors) }
  } finally {
    child.kill('SIGKILL')
  }
}
