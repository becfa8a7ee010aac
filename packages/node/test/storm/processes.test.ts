import { fork } from 'node:child_process'
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { LmdbLedger } from '@stored/lmdb'
import { dumpOf, filesIn } from '@stored/testing/rows/dump'
import { checkLog } from '@stored/testing/rows/replay'
import { checkRows } from '@stored/testing/rows/row-check'
import { describe, expect, test } from 'vitest'
import { fromEnvironment, TIMEOUT_MS } from '../proof/inputs.ts'
import { filesBelow, idOf, temp } from '../temp.ts'
import { KEYS, openShared } from './shared-store.ts'

const SEED = fromEnvironment('STORM_SEED', 1)
const STORMS = Math.ceil(fromEnvironment('STORM', 2) / 2)
const CALLS = 120

/** Lets a process work on the store. @param afterMs Kills it then. @returns What it found wrong; of one that was killed nothing. */
function work(directory: string, seed: number, afterMs?: number): Promise<string[]> {
  const { promise, resolve, reject } = Promise.withResolvers<string[]>()
  const child = fork(path.join(import.meta.dirname, 'storm.child.ts'), [directory, String(seed), String(CALLS)])
  let told: string[] | null = null
  child.on('message', (wrong: string[]) => {
    told = wrong
  })
  child.on('error', reject)
  child.on('exit', (code, signal) => {
    if (signal === 'SIGKILL') resolve([])
    else if (code === 0 && told) resolve(told)
    else reject(new Error(`a process ended with ${code ?? signal}`))
  })
  if (afterMs !== undefined) setTimeout(() => child.kill('SIGKILL'), afterMs)
  return promise
}

/** Syncs what is left, and compares rows, log, folders and answers. @returns What is wrong. */
async function inspect(directory: string): Promise<string[]> {
  const wrong: string[] = []
  const bound = new Map<string, string>()
  {
    await using store = await openShared(directory)
    await store.resume('b')
    await store.synced()
    for await (const { key, id } of store.list({ missing: true })) {
      bound.set(key, id)
      if (idOf(await store.get(key)) !== id) wrong.push(`${key} has other bytes`)
    }
  }
  const at = path.join(directory, 'store')
  const ledger = await LmdbLedger.open({ path: at, reserve: 0 })
  const { rows, violations } = checkRows(dumpOf(ledger), await filesIn(path.join(at, 'staging'), true))
  await ledger.close()
  wrong.push(...violations, ...checkLog(rows))
  for (const key of KEYS)
    if (bound.get(key) !== rows.bindings.get(key)?.id) wrong.push(`${key} is listed as ${bound.get(key)}`)
  const expected = (name: string) =>
    [...rows.locations.keys()].filter((place) => place.startsWith(`${name}\0`)).map((place) => place.slice(2))
  for (const name of ['a', 'b']) {
    const found = Object.keys(await filesBelow(path.join(directory, name)))
    if (String(found.sort()) !== String(expected(name).sort())) wrong.push(`${name} holds ${found}`)
  }
  return wrong
}

describe(`two processes that put, delete and read on one store, STORM_SEED=${SEED}`, () => {
  const seeds = Array.from({ length: STORMS }, (_, i) => 2 * (SEED + i))

  test.each(seeds)('leave rows, log and objects that fit each other (%i)', { timeout: TIMEOUT_MS }, async (seed) => {
    await using dir = await temp()
    expect((await Promise.all([work(dir.path, seed), work(dir.path, seed + 1)])).flat()).toEqual([])
    expect(await inspect(dir.path)).toEqual([])
  })

  test.each(seeds)('do so when one after the other is killed (%i)', { timeout: TIMEOUT_MS }, async (seed) => {
    await using dir = await temp()
    const lives = [work(dir.path, seed, 700), work(dir.path, seed + 1, 900)]
    expect((await Promise.all(lives)).flat()).toEqual([])
    expect((await Promise.all([work(dir.path, seed + 2, 600), work(dir.path, seed + 3)])).flat()).toEqual([])
    expect(await inspect(dir.path)).toEqual([])
    expect(
      readdirSync(path.join(dir.path, 'store', 'staging')).filter((name) => !name.startsWith('.stored-id')),
    ).toEqual([])
  })
})
