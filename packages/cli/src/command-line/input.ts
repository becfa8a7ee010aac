import { usage } from '../errors/fault.ts'

export type Values = Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>

/** Arguments and flags of one call, as the table declares them. */
export class Input {
  readonly args: readonly string[]
  readonly #values: Values

  constructor(args: readonly string[], values: Values) {
    this.args = args
    this.#values = values
  }

  /** The argument that the table says is there. */
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

  /** A whole number from `least`. */
  count(flag: string, least: number): number | undefined {
    const text = this.text(flag)
    if (text === undefined) return undefined
    const value = Number(text)
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < least)
      throw usage(`--${flag} takes a whole number from ${least}, not ${JSON.stringify(text)}`)
    return value
  }

  /** Fields from `name=value`, given any number of times. */
  fields(flag: string): Record<string, string> {
    return fieldsOf(this.texts(flag), `--${flag}`)
  }
}

/** @param what Takes them, for the message. */
export function fieldsOf(texts: readonly string[], what: string): Record<string, string> {
  const fields = texts.map((text) => {
    const at = text.indexOf('=')
    // Not the text itself: what was meant as a value may be a secret.
    if (at < 1) throw usage(`${what} takes name=value`)
    return [text.slice(0, at), text.slice(at + 1)]
  })
  // Not by assignment: a field may be called `__proto__`.
  return Object.fromEntries(fields)
}
