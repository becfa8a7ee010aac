import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { testDirectory } from '@stored/testing/directory'
import { beforeEach, describe, expect, test } from 'vitest'
import { CALLS } from '../inject/protocol.ts'
import { execute, verdictOn } from './execute.ts'
import { Log } from './log.ts'
import { commandOf, NAMES, partsOf } from './stages.ts'

const COMMIT = 'abc123'

let directory: string
let file: string
beforeEach(async () => {
  directory = await testDirectory()
  file = join(directory, 'full.log')
})

describe('a log', () => {
  test('that is reopened has the same seed and the finished parts, passed or not', () => {
    const log = Log.open(file, { commit: COMMIT })
    log.add('kill 1/2', 'passed', 61_200, 'node tooling/run.mjs kill 50 --seed 7')
    log.add('kill 2/2', 'failed', 400, 'node tooling/run.mjs kill 50 --seed 8; code 1')
    log.add('power 1/1', 'skipped', 0, 'node tooling/run.mjs power; skipped: only root may mount')
    const again = Log.open(file, { commit: COMMIT })
    expect(again.seed).toBe(log.seed)
    expect(['kill 1/2', 'kill 2/2', 'power 1/1', 'power 1/2'].map((name) => again.has(name))).toEqual([
      true,
      true,
      true,
      false,
    ])
    expect(again.end()).toBe('1 passed, 1 failed, 1 skipped')
    expect(readFileSync(file, 'utf8').split('\n').slice(1)).toEqual([
      'passed kill 1/2 in 61 s: node tooling/run.mjs kill 50 --seed 7',
      'failed kill 2/2 in 0 s: node tooling/run.mjs kill 50 --seed 8; code 1',
      'skipped power 1/1 in 0 s: node tooling/run.mjs power; skipped: only root may mount',
      '1 passed, 1 failed, 1 skipped',
      '',
    ])
  })

  test('without skipped parts ends with "N passed, N failed"', () => {
    const log = Log.open(file, { commit: COMMIT })
    log.add('kill 1/2', 'passed', 1, 'x')
    expect(log.end()).toBe('1 passed, 0 failed')
  })

  test('whose last line was truncated repeats that part, and keeps the next line separate', () => {
    Log.open(file, { commit: COMMIT }).add('kill 1/2', 'passed', 1, 'x')
    appendFileSync(file, 'passed kill 2/')
    const log = Log.open(file, { commit: COMMIT })
    expect(log.has('kill 2/2')).toBe(false)
    log.add('kill 2/2', 'passed', 1, 'x')
    expect(Log.open(file, { commit: COMMIT }).count('passed')).toBe(2)
  })

  test.each([
    ['of another commit', { commit: 'def456' }, 'proofs of two versions prove neither'],
    ['with another seed', { commit: COMMIT, seed: 2 }, 'has seed 1, not 2'],
  ])('%s is refused', (_, subject, why) => {
    Log.open(file, { commit: COMMIT, seed: 1 })
    const before = readFileSync(file, 'utf8')
    expect(() => Log.open(file, subject)).toThrow(why)
    expect(readFileSync(file, 'utf8')).toBe(before)
  })

  test('is not made from a different kind of file', () => {
    writeFileSync(file, 'my thesis')
    expect(() => Log.open(file, { commit: COMMIT })).toThrow('is not a log of test:full')
    expect(readFileSync(file, 'utf8')).toBe('my thesis')
  })
})

describe('the parts', () => {
  const parts = partsOf(NAMES, 1000)

  test('have distinct names and commands: no two try the same', () => {
    expect(new Set(parts.map(({ name }) => name)).size).toBe(parts.length)
    expect(new Set(parts.map(commandOf)).size).toBe(parts.length)
  })

  test('are the same for the same seed, and differ for another one', () => {
    expect(partsOf(['kill'], 7)).toEqual(partsOf(['kill'], 7))
    expect(partsOf(['kill'], 7)).not.toEqual(partsOf(['kill'], 1000))
    expect(partsOf(['model'], 7).map(commandOf)[1]).toBe(
      'MODEL_SEQUENCES=1000 MODEL_SEED=8 node tooling/run.mjs test packages/node/test/model/model.test.ts',
    )
  })

  test('are 1,000 kills, 200 power cuts, 20,000 sequences of the model, 100,000 schedules, 200,000 jobs over a backend that fails, and every call that can be made to fail', () => {
    const sum = (stage: string, of: (part: (typeof parts)[number]) => number) =>
      parts.filter(({ name }) => name.startsWith(`${stage} `)).reduce((total, part) => total + of(part), 0)
    expect(sum('kill', ({ args }) => Number(args[1]))).toBe(1000)
    expect(sum('power', ({ args }) => Number(args[1]))).toBe(200)
    expect(sum('model', ({ env }) => Number(env.MODEL_SEQUENCES))).toBe(20_000)
    expect(sum('schedules', ({ env }) => Number(env.MODEL_SCHEDULES))).toBe(100_000)
    expect(sum('proof', ({ env }) => Number(env.PROOF_JOBS))).toBe(200_000)
    expect(parts.filter(({ name }) => name.startsWith('inject ')).map(({ args }) => args.at(-1))).toEqual(
      Object.keys(CALLS),
    )
  })
})

test('a task that succeeded but left something out is skipped, with the reason', () => {
  expect(verdictOn('20 power cuts, seed 1\n  violations  0\n')).toEqual({ verdict: 'passed' })
  const reason = 'skipped: only root may mount'
  expect(verdictOn(`${reason}\n`)).toEqual({ verdict: 'skipped', reason })
  const notRun = 'drivers/s3/test/harness.ts: not run: Ceph cannot be had'
  expect(verdictOn(`fs: 162 proved\n${notRun}\nmore\n`)).toEqual({ verdict: 'skipped', reason: notRun })
})

describe('execute()', () => {
  const signal = new AbortController().signal

  test('of a task that does not exist fails, and keeps its output', async () => {
    const output = join(directory, 'out/no-such.txt')
    const part = { args: ['no-such-task'], env: {}, minutes: 1 }
    expect(await execute(part, output, signal)).toEqual({ verdict: 'failed', reason: 'code 2' })
    expect(readFileSync(output, 'utf8')).toContain('usage: node tooling/run.mjs')
  })

  test('that is interrupted rejects, and is no verdict', async () => {
    const part = { args: ['idle', '--seconds', '600'], env: {}, minutes: 20 }
    const interruption = new AbortController()
    const executing = execute(part, join(directory, 'idle.txt'), interruption.signal)
    interruption.abort()
    await expect(executing).rejects.toThrow('aborted')
  })
})
