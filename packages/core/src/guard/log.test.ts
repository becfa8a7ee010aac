import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import type { LogEvent } from '../backend/contract.ts'
import { Log } from './log.ts'

function log() {
  const heard: LogEvent[] = []
  let now = 0
  const pass = (ms: number) => {
    now += ms
  }
  return {
    heard,
    pass,
    write: new Log(
      (event) => heard.push(event),
      () => now,
    ).write,
  }
}

describe('Log', () => {
  it('leaves out what comes in floods, of each level by itself, and says so once', () => {
    const { heard, write, pass } = log()
    for (let i = 0; i < 100_000; i++) write({ level: 'debug', message: `${i}` })
    write({ level: 'warn', message: 'still gets through' })
    expect(heard).toHaveLength(102)
    expect(heard.slice(99)).toEqual([
      { level: 'debug', message: '99' },
      { level: 'debug', message: 'more of these are left out for up to a minute' },
      { level: 'warn', message: 'still gets through' },
    ])
    pass(60_000)
    write({ level: 'debug', message: 'heard again' })
    expect(heard.at(-1)).toEqual({ level: 'debug', message: 'heard again' })
  })

  it('escapes what a terminal would obey, and truncates', () => {
    const { heard, write } = log()
    write({ level: 'warn', message: 'a\u001b]0;x\u0007', key: 'a\u001b' })
    write({ level: 'warn', message: 'x'.repeat(1 << 20) })
    expect(heard[0]).toEqual({ level: 'warn', message: 'a\\u001b]0;x\\u0007', key: 'a\u001b' })
    expect(heard[1]?.message.length).toBeLessThan(3_000)
  })

  it.each([
    ['nothing', undefined],
    ['no text', { level: 'loud', message: { an: 'object' } }],
    ['cannot become a string', { message: Object.create(null) }],
  ])('survives a driver that logs %s', async (_, event) => {
    const { heard, write } = log()
    const warned = heardWarning()
    expect(() => write(event as never)).not.toThrow()
    if (heard.length === 0) await warned
    else expect(heard).toEqual([{ level: 'warn', message: '[object Object]' }])
  })

  it('survives a listener that throws', async () => {
    const { write } = new Log(() => {
      throw new Error('listener')
    })
    const warned = heardWarning()
    expect(() => write({ level: 'warn', message: 'a' })).not.toThrow()
    expect(await warned).toMatchObject({ message: 'listener' })
  })
})

async function heardWarning(): Promise<unknown> {
  const [warning] = await once(process, 'warning')
  return warning
}
