import { isDeepStrictEqual } from 'node:util'
import type { StoreD } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import fc from 'fast-check'
import { idOf } from '../ports/subject.ts'
import { type Call, isLinearizable, type Step } from './linearizable.ts'

export const KEYS = ['a', 'b'] as const
export type Key = (typeof KEYS)[number]
export const TEXTS = ['one', 'two'] as const
export type Text = (typeof TEXTS)[number]
export type Name = 'first' | 'second'

/** Which text each key is bound to. */
export type Bindings = Readonly<Partial<Record<Key, Text>>>

/** One call of a caller. */
export interface Action {
  /** How it is shown when it is part of a counterexample. */
  [fc.toStringMethod](): string
  readonly call: (store: StoreD<Name>) => Promise<unknown>
  readonly step: Step<Bindings, unknown>
}

const key = fc.constantFrom(...KEYS)
const text = fc.constantFrom(...TEXTS)

export const put = fc
  .tuple(key, text, fc.constantFrom('', '', 'ifAbsent', 'one', 'two'))
  .map(([key, text, condition]): Action => {
    const conditions = {
      ...(condition === 'ifAbsent' && { ifAbsent: true }),
      ...((condition === 'one' || condition === 'two') && { ifMatch: idOf(condition) }),
    }
    return {
      [fc.toStringMethod]: () => `put ${key} ${text} ${condition}`,
      call: (store) => store.put(Buffer.from(text), { key, ...conditions }).then(() => 'done'),
      step: (state) => {
        if (condition === 'ifAbsent' && state[key]) return { state, answer: 'ALREADY_EXISTS' }
        if (conditions.ifMatch && state[key] !== condition) return { state, answer: 'PRECONDITION_FAILED' }
        return { state: { ...state, [key]: text }, answer: 'done' }
      },
    }
  })

const remove = key.map(
  (key): Action => ({
    [fc.toStringMethod]: () => `delete ${key}`,
    call: (store) => store.delete(key).then(({ deleted }) => deleted),
    step: (state) => ({ state: { ...state, [key]: undefined }, answer: state[key] ? [key] : [] }),
  }),
)

const removeBlob = text.map(
  (text): Action => ({
    [fc.toStringMethod]: () => `delete the blob ${text}`,
    call: (store) => store.delete(idOf(text)).then(({ deleted }) => deleted),
    step: (state) => {
      const deleted = KEYS.filter((key) => state[key] === text)
      const left = Object.fromEntries(deleted.map((key) => [key, undefined]))
      return { state: { ...state, ...left }, answer: deleted }
    },
  }),
)

const get = key.map((key) => getOf(key))

export function getOf(key: Key): Action {
  return {
    [fc.toStringMethod]: () => `get ${key}`,
    call: (store) => store.get(key).then(String),
    step: (state) => ({ state, answer: state[key] ?? 'NOT_FOUND' }),
  }
}

const actions = fc.oneof(
  { weight: 5, arbitrary: put },
  { weight: 2, arbitrary: remove },
  { weight: 1, arbitrary: removeBlob },
  { weight: 2, arbitrary: get },
)
/** What each caller does, one after the other. */
export const callers = fc.array(fc.array(actions, { minLength: 1, maxLength: 2 }), {
  minLength: 2,
  maxLength: 3,
  size: 'max',
})

/** Notes begin, end and answer of every call. */
export class History {
  readonly #calls: (Call<Bindings, unknown> & { readonly text: string })[] = []
  #now = 0

  async note(action: Action, store: StoreD<Name>): Promise<void> {
    const { call, step } = action
    const begin = this.#now++
    const answer = await call(store).catch((error: unknown) => {
      if (StorageError.is(error)) return error.code
      throw error
    })
    this.#calls.push({ text: action[fc.toStringMethod](), step, answer, begin, end: this.#now++ })
  }

  /** @throws When no order explains the answers. */
  check(): void {
    if (isLinearizable(this.#calls, {}, isDeepStrictEqual)) return
    const told = this.#calls.map(({ text, begin, end, answer }) => `${begin}-${end} ${text}: ${JSON.stringify(answer)}`)
    throw new Error(`no order of these calls gives these answers:\n${told.join('\n')}`)
  }
}
