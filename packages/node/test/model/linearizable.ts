/** What a call does to the state, and what it answers, done at one moment. */
export type Step<State, Answer> = (state: State) => { readonly state: State; readonly answer: Answer }

export interface Call<State, Answer> {
  readonly step: Step<State, Answer>
  readonly answer: Answer
  /** In the order of all begins and ends. */
  readonly begin: number
  readonly end: number
}

/**
 * Whether the calls, each done at one moment between its begin and its end, one after the other, give these answers.
 *
 * @see Wing and Gong, "Testing and verifying concurrent objects" (1993).
 */
export function isLinearizable<State, Answer>(
  calls: readonly Call<State, Answer>[],
  state: State,
  isSame: (a: Answer, b: Answer) => boolean,
): boolean {
  if (calls.length === 0) return true
  const firstEnd = Math.min(...calls.map(({ end }) => end))
  return calls.some((call) => {
    if (call.begin > firstEnd) return false
    const next = call.step(state)
    const rest = calls.filter((other) => other !== call)
    return isSame(next.answer, call.answer) && isLinearizable(rest, next.state, isSame)
  })
}
