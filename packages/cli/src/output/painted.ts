/** Text in a colour, where there are colours. */
export interface Painted {
  /** Of SGR: 1 bold, 2 faint, 31 red, 32 green, 33 yellow. */
  readonly sgr: string
  readonly text: string
}

/** Part of a line. */
export type Part = string | Painted

export function paint(sgr: string, text: string): Painted {
  return { sgr, text }
}
