import { type Node, type ParseError, parseTree, printParseErrorCode } from 'jsonc-parser'
import { configError } from './error.ts'
import { type Branch, type Entry, type Fault, isBranch, typeOf } from './tree.ts'

/** The name of a file in messages, and the base of its relative paths. */
export interface FileName {
  readonly shown: string
  readonly base: string
}

/**
 * The values of a JSON configuration, each with its line. Comments and trailing commas are allowed.
 *
 * @throws {StorageError} MISCONFIGURED: not JSON, not an object, or an option given twice.
 */
export function parseConfigText(text: string, file: FileName): Branch {
  const root = parseNodes(text, file)
  const faults: Fault[] = []
  const tree = toEntry(root, { text, file, faults }, root)
  if (!isBranch(tree) || tree.isList) {
    const text = `the configuration must be an object, not ${typeOf(tree)}`
    throw configError('MISCONFIGURED', [{ where: tree.where, text }])
  }
  if (faults.length > 0) throw configError('MISCONFIGURED', faults)
  return tree
}

/** @throws {StorageError} MISCONFIGURED: not JSON. */
export function parseNodes(text: string, { shown }: Pick<FileName, 'shown'>): Node {
  const errors: ParseError[] = []
  // A byte order mark is not part of the text, but counts in offsets.
  const root = parseTree(text.replace(/^\uFEFF/, ' '), errors, { allowTrailingComma: true })
  const [first] = errors
  if (root && !first) return root
  const offset = first?.offset ?? 0
  const column = offset - text.lastIndexOf('\n', offset - 1)
  const where = `${shown}:${lineAt(text, offset)}:${column}`
  throw configError('MISCONFIGURED', [{ where, text: `not JSON: ${first ? inWords(first) : 'value expected'}` }])
}

/** 1-based. */
export function lineAt(text: string, offset: number): number {
  let line = 1
  for (let at = text.indexOf('\n'); at !== -1 && at < offset; at = text.indexOf('\n', at + 1)) line++
  return line
}

interface Reading {
  readonly text: string
  readonly file: FileName
  readonly faults: Fault[]
}

/** @param named The node that determines the line: a property, or the value itself. */
function toEntry(node: Node, reading: Reading, named: Node): Entry {
  const { text, file } = reading
  const place = { from: 'file', where: `${file.shown}:${lineAt(text, named.offset)}`, base: file.base } as const
  if (node.type === 'array') {
    const items = (node.children ?? []).map((item, i) => [String(i), toEntry(item, reading, item)] as const)
    return { ...place, isList: true, children: new Map(items) }
  }
  return node.type === 'object'
    ? { ...place, isList: false, children: toChildren(node, reading) }
    : { ...place, value: node.value }
}

function toChildren(node: Node, reading: Reading): Map<string, Entry> {
  const children = new Map<string, Entry>()
  for (const property of node.children ?? []) {
    const [key, value] = property.children as [Node, Node]
    const entry = toEntry(value, reading, property)
    const former = children.get(key.value)
    const text = `${JSON.stringify(key.value)} is given twice, first at ${former?.where}`
    if (former) reading.faults.push({ where: entry.where, text })
    children.set(key.value, entry)
  }
  return children
}

/** `CommaExpected` → `comma expected`. */
function inWords({ error }: ParseError): string {
  return printParseErrorCode(error)
    .replaceAll(/(?<=[a-z])(?=[A-Z])/g, ' ')
    .toLowerCase()
}
