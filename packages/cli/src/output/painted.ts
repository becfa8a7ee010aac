/** Text in a colour, if colours are on. */
export interface Painted {
  /** SGR parameters: 1 bold, 2 faint, 31 red, 32 green, 33 yellow. */
  readonly sgr: string
  readonly text: string
}

/** Part of a line. */
export type Part = string | Painted

export function paint(sgr: string, text: string): Painted {
  return { sgr, text }
}
