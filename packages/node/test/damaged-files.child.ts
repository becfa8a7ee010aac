import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, copyFileSync, mkdirSync, openSync, rmSync, truncateSync, writeSync } from 'node:fs'
import { cp, rm } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { openStore } from '@stored/node'

/** One way in which a file of a store is damaged. */
export type Harm = { readonly file: string } & (
  | { readonly how: 'cut' | 'garbage'; readonly at: number; readonly seed?: number }
  | { readonly how: 'bytes'; readonly at: number; readonly hex: string }
  | { readonly how: 'removed' | 'replaced' | 'directory' | 'pipe' }
)

/** What a store, damaged so, answered; `wrong`: it lost what it had and did not say so. */
export interface Answer {
  readonly harm: Harm
  readonly answer: 'well' | 'wrong' | { readonly code: string; readonly message: string }
}

const [mode = '', base = '', ...words] = process.argv.slice(2)

/** Damages a copy of `base` in each of these ways, and uses it as a program does. Says what it does before it does it. */
async function openEach(): Promise<void> {
  for (const harm of JSON.parse(words[0] ?? '[]') as Harm[]) {
    const directory = `${base}-damaged`
    await cp(base, directory, { recursive: true })
    damage(directory, harm)
    say({ trying: harm })
    say({ harm, answer: await answerOf(() => use(directory)) })
    await rm(directory, { recursive: true })
  }
}

/** Keeps the store open while it is damaged, then goes on with it. */
async function keepOpen(): Promise<void> {
  const store = await storeAt(base)
  say({ open: true })
  for await (const line of process.stdin) {
    const harm = JSON.parse(String(line)) as Harm
    // Behind the timer by which LMDB ends the view of its last read, which nobody could keep from touching its locks.
    await setTimeout(1)
    damage(base, harm)
    for (const call of [
      () => store.put(Buffer.from('new'), { key: 'new' }),
      () => store.get('k/1'),
      () => store.status(),
    ])
      say({ harm, answer: await answerOf(call) })
    break
  }
  await store.close()
  say({ closed: true })
}

async function use(directory: string): Promise<void> {
  await using store = await storeAt(directory)
  const keys = (await Array.fromAsync(store.list())).map(({ key }) => key)
  for (const key of keys) await store.get(key)
  await store.put(Buffer.from('new'), { key: 'new' })
  await store.delete('k/1')
  if (keys.length < 120) throw Object.assign(new Error('keys are missing'), { code: 'wrong' })
}

async function answerOf(call: () => Promise<unknown>): Promise<Answer['answer']> {
  try {
    await call()
    return 'well'
  } catch (error) {
    const { code, message } = error as { code: string; message: string }
    return code === 'wrong' ? code : { code, message }
  }
}

function storeAt(directory: string) {
  const backends = { a: { driver: 'fs', root: path.join(directory, 'a') } }
  return openStore({ path: path.join(directory, 'store'), sync: false, backends })
}

function damage(directory: string, harm: Harm): void {
  const file = path.join(directory, 'store', harm.file)
  if (harm.how === 'cut') truncateSync(file, harm.at)
  else if (harm.how === 'garbage') write(file, harm.at, garbage(4096, harm.seed ?? 0))
  else if (harm.how === 'bytes') write(file, harm.at, Buffer.from(harm.hex, 'hex'))
  else exchange(file, harm.how)
}

function exchange(file: string, how: Harm['how']): void {
  if (how === 'replaced') copyFileSync(file, `${file}.copy`)
  rmSync(file)
  if (how === 'replaced') copyFileSync(`${file}.copy`, file)
  if (how === 'directory') mkdirSync(file)
  if (how === 'pipe') spawnSync('mkfifo', [file])
}

function write(file: string, at: number, bytes: Buffer): void {
  const fd = openSync(file, 'r+')
  writeSync(fd, bytes, 0, bytes.length, at)
  closeSync(fd)
}

function garbage(length: number, seed: number): Buffer {
  return createHash('shake256', { outputLength: length }).update(String(seed)).digest()
}

function say(what: object): void {
  process.stdout.write(`${JSON.stringify(what)}\n`)
}

if (mode === 'open') await openEach()
if (mode === 'keep') await keepOpen()
