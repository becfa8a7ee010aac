// Kills upgrades of a store of format 2 at random moments, and at each step of the switch:
// npm run test:upgrade [-- N] [--blobs N] [--seed S] [--dir DIR] [--keep]
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArguments } from '@stored/kill/arguments'
import { ExclusiveIndex, FORMAT, FORMER_FORMAT } from '@stored/lmdb'
import { openStore } from '@stored/node'
import { bytesOf, isOwed, keyOf, makeFormerStore } from './former-store.ts'

const UPGRADER = fileURLToPath(new URL('upgrader.ts', import.meta.url))
const FIRST = Buffer.alloc(0)
const LAST = Buffer.alloc(1978, 0xff)
/** Steps of the switch; a signal that comes with an error comes before its call. */
const SWITCH = ['link', 'rename', '?renameat,renameat2', '?linkat'].map((calls) => calls.replaceAll(',', ',?'))

const { wanted, seed, dir, keep, numbers } = parseArguments('test:upgrade', 5, { blobs: 2000 })
const { blobs } = numbers
const place = mkdtempSync(join(dir, 'stored-upgrade-'))
const former = join(place, 'former')
const work = join(place, 'work')
const random = randomOf(seed)
try {
  await makeFormerStore(former, blobs)
  const took = await upgradeOnce()
  const expected = await digestOf(work)
  await read(work)
  console.log(`${blobs} blobs upgraded in ${took} ms; seed ${seed}`)
  const seen = { former: 0, upgraded: 0 }
  for (let i = 0; i < wanted; i++) await check(await killAfter(random() * took * 1.1), expected, seen)
  const steps = spawnSync('strace', ['-V']).error ? [] : SWITCH
  for (const calls of steps)
    for (const error of ['', ':error=EIO']) await check(await killAt(calls, error), expected, seen)
  const { former: before, upgraded: after } = seen
  console.log(
    `${wanted} kills and ${steps.length * 2} at the switch: ${before} left format 2, ${after} format 3; all as before`,
  )
} finally {
  if (!keep) rmSync(place, { recursive: true, force: true })
}

function begin(): void {
  rmSync(work, { recursive: true, force: true })
  cpSync(former, work, { recursive: true })
}

/** @returns How long it took, in milliseconds, once it had begun. */
async function upgradeOnce(): Promise<number> {
  begin()
  return finish()
}

async function finish(): Promise<number> {
  const child = spawn(process.execPath, [UPGRADER, work], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(child, 'close')
  await once(child.stdout, 'data')
  const begun = performance.now()
  const [code] = await ended
  if (code !== 0) throw new Error(`an upgrade ended with ${code}`)
  return Math.ceil(performance.now() - begun)
}

async function killAfter(ms: number): Promise<string> {
  begin()
  const child = spawn(process.execPath, [UPGRADER, work], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(child, 'close')
  await once(child.stdout, 'data')
  await setTimeout(ms)
  child.kill('SIGKILL')
  await ended
  return `killed after ${Math.round(ms)} ms`
}

async function killAt(calls: string, error: string): Promise<string> {
  begin()
  const inject = [
    '-f',
    '-o',
    '/dev/null',
    '-P',
    join(work, 'index.mdb'),
    '-e',
    `inject=${calls}${error}:signal=SIGKILL`,
  ]
  const child = spawn('strace', [...inject, process.execPath, UPGRADER, work], {
    stdio: ['ignore', 'ignore', 'ignore'],
  })
  await once(child, 'close')
  return `killed ${error ? 'before' : 'behind'} ${calls}`
}

/** The store is wholly of one format; an upgrade that begins again ends as one that was not killed. */
async function check(what: string, expected: string, seen: { former: number; upgraded: number }): Promise<void> {
  const found = await formatOf(work)
  if (found === FORMER_FORMAT) {
    seen.former++
    const [before, now] = [await digestOf(former), await digestOf(work)]
    if (before !== now) throw new Error(`${what}: the former index is another one`)
    await finish()
  } else if (found === FORMAT) seen.upgraded++
  else throw new Error(`${what}: the store has format ${found}`)
  if ((await digestOf(work)) !== expected) throw new Error(`${what}: the store is not as it would be`)
  const debris = readdirSync(work).filter((name) => name.includes('.new') || name.endsWith('.part'))
  if (debris.length > 0) throw new Error(`${what}: it left ${debris.join(', ')}`)
}

async function formatOf(directory: string): Promise<number> {
  const index = await ExclusiveIndex.open({ path: directory })
  await index.close()
  return index.format
}

/** Of all rows. What an upgrade writes follows from what it reads, tickets and all. */
async function digestOf(directory: string): Promise<string> {
  const index = await ExclusiveIndex.open({ path: directory })
  const hash = createHash('sha256')
  for (const tree of index.trees)
    for (let from = FIRST; ; ) {
      const page = index.range(tree, { from, to: LAST })
      for (const [key, value] of page) hash.update(`${tree} ${key.length} ${value.length} `).update(key).update(value)
      const last = page.at(-1)
      if (!last) break
      from = Buffer.concat([last[0], Buffer.of(0)])
    }
  await index.close()
  return hash.digest('hex')
}

/** What an upgraded store says of the blobs that were added, and whether their bytes can be read. */
async function read(directory: string): Promise<void> {
  const folder = (name: string) => ({ driver: 'fs' as const, root: join(place, name) })
  const store = await openStore({
    ...{ path: directory, sync: false },
    backends: { a: folder('a'), b: { ...folder('b'), layout: 'id' }, c: folder('c') },
  })
  try {
    let count = 0
    for await (const { key, size } of store.list({ prefix: 'blobs of the proof/' })) {
      const i = Number(key.slice(key.lastIndexOf('/') + 1))
      if (key !== keyOf(i) || size !== bytesOf(i).length) throw new Error(`${key} is not as it was`)
      if (isOwed(i) && i % 1000 === 0 && !(await store.get(key)).equals(bytesOf(i)))
        throw new Error(`${key} reads wrong`)
      count++
    }
    if (count !== blobs) throw new Error(`${count} of ${blobs} keys are there`)
    let owed = 0
    for await (const { key } of store.jobs({ backend: 'a', state: 'waiting' })) if (key.startsWith('blobs of')) owed++
    if (owed !== Math.ceil(blobs / 10)) throw new Error(`${owed} of ${blobs / 10} jobs are there`)
  } finally {
    await store.close()
  }
}

function randomOf(text: string): () => number {
  let state = createHash('sha256').update(text).digest()
  return () => {
    state = createHash('sha256').update(state).digest()
    return state.readUInt32BE(0) / 2 ** 32
  }
}
