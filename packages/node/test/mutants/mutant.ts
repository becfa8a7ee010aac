/** A guard that is taken out of a plan. */
export interface Mutant {
  /** What is no longer so. */
  readonly what: string
  /** Relative to the root of the repository. */
  readonly file: string
  /** An expression between « and », and what stands around it; once in the file. */
  readonly from: string
  /** What stands in its place. */
  readonly to: string
  /** A test that stages what no storm meets. */
  readonly test?: string
}

/** Which one is at work, by what it says: a variable of `globalThis`, and of the environment. */
export const NAME = 'STORED_MUTANT'

/** @param what `undefined`: none. */
export function atWork(what: string | undefined): void {
  Object.assign(globalThis, { [NAME]: what })
}

/**
 * Puts mutants into the source of their file: each expression becomes a choice, so that one process can try all of them.
 *
 * @throws {Error} What a mutant takes away does not stand there once: the list is behind the sources.
 */
export function mutate(source: string, mutants: readonly Mutant[]): string {
  const froms = [...new Set(mutants.map(({ from }) => from))]
  return froms.reduce(
    (text, from) =>
      choose(
        text,
        from,
        mutants.filter((one) => one.from === from),
      ),
    source,
  )
}

function choose(source: string, from: string, mutants: readonly Mutant[]): string {
  const [before, expression, behind] = from.split(/[«»]/) as [string, string, string]
  const { what, file } = mutants[0] as Mutant
  const count = source.split(`${before}${expression}${behind}`).length - 1
  if (count !== 1) throw new Error(`${what}: its text stands ${count} times in ${file}`)
  const choices = mutants.map((one) => `globalThis.${NAME} === ${JSON.stringify(one.what)} ? (${one.to}) : `)
  // A line may begin with it, and the one before end without a semicolon: a parenthesis would be a call.
  const choice = `Array.of(${choices.join('')}(${expression}))[0]`
  return source.replace(`${before}${expression}${behind}`, () => `${before}${choice}${behind}`)
}
