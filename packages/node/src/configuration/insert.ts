import type { Node } from 'jsonc-parser'

/*
 * `modify` of jsonc-parser puts a property right behind the value before it, and so between that value and the comment on its
 * line; what it removes reaches from value to value, with the comments between. Here no edit touches a comment.
 */

/** Adds `name: value` as the last property of `parent`, after every comment in it. `name` is JSON. */
export function appendChild(text: string, parent: Node, name: string, value: unknown): string {
  const close = parent.offset + parent.length - 1
  const end = text.slice(0, close).trimEnd().length
  const last = parent.children?.at(-1)
  const eol = text.includes('\r\n') ? '\r\n' : '\n'
  const outer = indentAt(text, parent.offset)
  const unit = unitOf(text)
  const inner = last && isFirstOnLine(text, last.offset) ? indentAt(text, last.offset) : outer + unit
  const json = JSON.stringify(value, undefined, unit).replaceAll('\n', eol + inner)
  const isTrailing = last !== undefined && commaAfter(text, last) !== null
  const added = `${eol}${inner}${name}: ${json}${isTrailing ? ',' : ''}`
  const isOneLine = !text.slice(end, close).includes('\n')
  const head =
    last && !isTrailing ? `${text.slice(0, endOf(last))},${text.slice(endOf(last), end)}` : text.slice(0, end)
  return head + added + (isOneLine ? eol + outer : '') + text.slice(isOneLine ? close : end)
}

/** Removes a property from its object, or an item from its list. */
export function removeChild(text: string, child: Node): string {
  const siblings = child.parent?.children ?? []
  const previous = siblings[siblings.indexOf(child) - 1]
  const comma = commaAfter(text, child)
  const isLast = siblings.at(-1) === child
  // The comma before the last item no longer separates anything, unless there was a trailing comma too.
  const dangling = isLast && comma === null && previous ? commaAfter(text, previous) : null
  if (dangling !== null && /^[ \t]*$/.test(text.slice(dangling + 1, child.offset)))
    return text.slice(0, dangling) + text.slice(endOf(child))
  const isJoined = comma !== null && text.slice(endOf(child), comma).trim() === ''
  const cuts = [lineOf(text, child.offset, isJoined ? comma + 1 : endOf(child))]
  if (comma !== null && !isJoined) cuts.push([comma, comma + 1])
  if (dangling !== null) cuts.unshift([dangling, dangling + 1])
  return cuts.reduceRight((left, [from, to]) => left.slice(0, from) + left.slice(to), text)
}

/** `from` to `to` and the spaces after it; the whole line if nothing else is on it. */
function lineOf(text: string, from: number, to: number): readonly [number, number] {
  const spaces = /^[ \t]*/.exec(text.slice(to))?.[0].length ?? 0
  const rest = /^(?:\r?\n|$)/.exec(text.slice(to + spaces))
  if (!isFirstOnLine(text, from) || rest === null) return [from, to + spaces]
  return [text.lastIndexOf('\n', from - 1) + 1, to + spaces + rest[0].length]
}

function endOf({ offset, length }: Node): number {
  return offset + length
}

/** The position of the comma after `child`, whether or not comments are in between; `null` if there is none. */
function commaAfter(text: string, child: Node): number | null {
  const between = /^(?:\s|\/\/[^\n]*|\/\*[\s\S]*?\*\/)*/.exec(text.slice(endOf(child)))?.[0].length ?? 0
  const at = endOf(child) + between
  return text[at] === ',' ? at : null
}

function isFirstOnLine(text: string, offset: number): boolean {
  return text.slice(text.lastIndexOf('\n', offset - 1) + 1, offset).trim() === ''
}

function indentAt(text: string, offset: number): string {
  const start = text.lastIndexOf('\n', offset - 1) + 1
  return /^[ \t]*/.exec(text.slice(start, offset))?.[0] ?? ''
}

/** The file's indentation, taken from its first indented line. */
function unitOf(text: string): string {
  return /^[ \t]+(?=[^\s*])/m.exec(text)?.[0] ?? '  '
}
