/** What doctor looked at, and what it found. */
export interface Check {
  readonly check: string
  readonly result: 'ok' | 'warning' | 'failed'
  readonly message: string
}
