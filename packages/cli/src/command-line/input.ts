import { usage } from '../errors/fault.ts'

export type Values = Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>

/** The arguments and flags of one invocation, as the table declares them. */
export class Input {
  readonly args: readonly string[]
  readonly #values: Values

  constructor(args: readonly string[], values: Values) {
    this.args = args
    this.#values = values
  }

  /** The first argument; the table says that there is one. */
  get first(): string {
    const [first] = this.args
    if (first === undefined) throw usage('an argument is missing')
    return first
  }

  has(flag: string): boolean {
    return this.#values[flag] === true
  }

  text(flag: string): string | undefined {
    const value = this.#values[flag]
    return typeof value === 'string' ? value : undefined
  }

  texts(flag: string): readonly string[] {
    const value = this.#values[flag]
    return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : []
  }

  /** An integer of at least `least`. */
  count(flag: string, least: number): number | undefined {
    const text = this.text(flag)
    if (text === undefined) return undefined
    const value = Number(text)
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < least)
      throw usage(`--${flag} takes a whole number from ${least}, not ${JSON.stringify(text)}`)
    return value
  }

  /** Fields from `name=value`; the flag may be repeated. */
  fields(flag: string): Record<string, string> {
    return fieldsOf(this.texts(flag), `--${flag}`)
  }
}

/** @param what The flag or command that takes them, for the message. */
export function fieldsOf(texts: readonly string[], what: string): Record<string, string> {
  const fields = texts.map((text) => {
    const at = text.indexOf('=')
    // Do not print the text: it may be a secret meant as a value.
    if (at < 1) throw usage(`${what} takes name=value`)
    return [text.slice(0, at), text.slice(at + 1)]
  })
  // Not by assignment: a field may be named `__proto__`.
  return Object.fromEntries(fields)
}
