/**
 * Invisible characters: control characters, which move a terminal's cursor and set its title (C0, DEL, C1), line
 * breaks, marks that reorder the following text (bidi overrides and isolates), tags and other format characters, and
 * halves of a surrogate pair. The two joiners stay: Persian, Hindi and many emoji need them, and they only change how
 * their neighbours look.
 *
 * @see https://www.unicode.org/reports/tr36/ sections 2.5 and 3.6
 */
const UNSEEN = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu

/**
 * Makes text from elsewhere, such as a key or a server message, safe to show on a terminal: invisible characters are
 * escaped as in JSON, `\n` and `\u009b`. Idempotent, and JSON stays equivalent JSON.
 */
export function printable(text: string): string {
  return text.replaceAll(UNSEEN, escaped)
}

function escaped(unseen: string): string {
  const inJson = JSON.stringify(unseen).slice(1, -1)
  if (inJson !== unseen) return inJson
  return Array.from({ length: unseen.length }, (_, i) => `\\u${hex(unseen.charCodeAt(i))}`).join('')
}

function hex(unit: number): string {
  return unit.toString(16).padStart(4, '0')
}
