/** The longest any job waits: a time to come that lies further ahead is a clock that was set back. */
export const MAX_DELAY_MS = 60 * 60 * 1000
/** What has run for so long when its process dies is not why. */
export const INNOCENT_MS = 60_000
