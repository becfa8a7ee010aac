/**
 * What no person can see: control characters, which move a terminal's cursor and set its title (C0, DEL, C1), ends of lines, marks that
 * reorder what follows (bidi overrides and isolates), tags and other format characters, halves of a surrogate pair. The two joiners
 * stay: Persian, Hindi and many emoji are not themselves without them, and all they can do is change how their neighbours look.
 *
 * @see https://www.unicode.org/reports/tr36/ sections 2.5 and 3.6
 */
const UNSEEN = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu

/**
 * Text from elsewhere, such as a key or what a server says, as a person may be shown it on a terminal: what cannot be seen is
 * escaped as in JSON, `\n` and `\u009b`. Twice is as good as once, and JSON stays the same JSON.
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
