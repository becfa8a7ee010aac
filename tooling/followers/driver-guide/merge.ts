// Merges a block of the guide into a file as a reader would: imports are added, declarations replace those of the same
// name, the rest stays.
import ts from 'typescript'

interface Change {
  readonly start: number
  readonly end: number
  readonly text: string
}

/** `target` with the statements of `block` merged into it. */
export function merge(target: string, block: string): string {
  let merged = target
  for (const statement of parse(block).statements) merged = mergeStatement(merged, statement)
  return merged
}

/**
 * `target` without the declarations of these names; `Class.member` is one of a class. @throws If one does not exist.
 */
export function remove(target: string, names: readonly string[]): string {
  return names.reduce((text, name) => apply(text, removal(parse(text), name)), target)
}

function removal(source: ts.SourceFile, name: string): Change {
  const { text } = source
  const [owner, member] = name.split('.') as [string, string | undefined]
  const holder = source.statements.find((statement) => nameOf(statement) === owner)
  const found = member === undefined ? holder : membersOf(holder).find((each) => nameOf(each) === member)
  if (found === undefined) throw new Error(`${name} is not there`)
  const before = text.slice(0, startOf(found)).trimEnd()
  const end = ts.isObjectLiteralElement(found) && text[found.end] === ',' ? found.end + 1 : found.end
  return { start: before.length, end, text: '' }
}

function mergeStatement(target: string, statement: ts.Statement): string {
  if (ts.isImportDeclaration(statement)) return mergeImport(target, statement)
  const source = parse(target)
  const name = nameOf(statement)
  const found = name === undefined ? undefined : source.statements.find((each) => nameOf(each) === name)
  const isPartial = ts.isClassDeclaration(statement) || propertiesOf(statement) !== null
  if (found !== undefined && isPartial) return mergeMembers(target, name, statement)
  if (found !== undefined) return apply(target, { start: startOf(found), end: found.end, text: textOf(statement) })
  return place(target, source, statement)
}

/** Functions go after everything, the rest before exports, which may use it. */
function place(target: string, { statements }: ts.SourceFile, statement: ts.Statement): string {
  const next = ts.isFunctionDeclaration(statement) ? undefined : statements.find(isExported)
  const at = next === undefined ? target.length : startOf(next)
  const text = textOf(statement)
  return apply(target, { start: at, end: at, text: next === undefined ? `\n${text}\n` : `${text}\n\n` })
}

function isExported(statement: ts.Statement): boolean {
  const modifiers = ts.canHaveModifiers(statement) ? (ts.getModifiers(statement) ?? []) : []
  return modifiers.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)
}

function mergeImport(target: string, statement: ts.ImportDeclaration): string {
  const source = parse(target)
  const from = statement.moduleSpecifier.getText()
  const found = source.statements.filter(ts.isImportDeclaration).find((each) => each.moduleSpecifier.getText() === from)
  if (found === undefined) return `${textOf(statement)}\n${target}`
  const names = [...new Set([...specifiersOf(found), ...specifiersOf(statement)])]
  const text = `import { ${names.join(', ')} } from ${from}`
  return apply(target, { start: startOf(found), end: found.end, text })
}

function specifiersOf({ importClause }: ts.ImportDeclaration): string[] {
  const bindings = importClause?.namedBindings
  if (bindings === undefined || !ts.isNamedImports(bindings)) throw new Error('only named imports can be merged')
  const isType = importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword
  return bindings.elements.map((each) => (isType ? `type ${each.getText()}` : each.getText()))
}

/**
 * Members keep their place. A new one goes after its predecessor in the block; else fields go first, the others last.
 */
function mergeMembers(target: string, owner: string | undefined, statement: ts.Statement): string {
  let merged = target
  let previous: ts.Node | undefined
  for (const member of membersOf(statement)) {
    const holder = parse(merged).statements.find((each) => nameOf(each) === owner)
    merged = apply(merged, memberChange(membersOf(holder), member, previous))
    previous = member
  }
  return merged
}

function memberChange(members: readonly ts.Node[], member: ts.Node, previous: ts.Node | undefined): Change {
  const found = members.find((each) => nameOf(each) === nameOf(member))
  const text = textOf(member)
  if (found !== undefined) return { start: startOf(found), end: found.end, text }
  if (!ts.isClassElement(member)) return insertion(members.at(-1) as ts.Node, `,\n  ${text}`)
  const isField = ts.isPropertyDeclaration(member)
  if (previous !== undefined && ts.isPropertyDeclaration(previous) === isField) {
    const like = members.find((each) => nameOf(each) === nameOf(previous)) as ts.Node
    return insertion(like, isField ? `\n  ${text}` : `\n\n  ${text}`)
  }
  if (!isField) return insertion(members.at(-1) as ts.Node, `\n\n  ${text}`)
  const start = startOf(members[0] as ts.Node)
  return { start, end: start, text: `${text}\n  ` }
}

function insertion(after: ts.Node, text: string): Change {
  return { start: after.end, end: after.end, text }
}

function membersOf(statement: ts.Statement | undefined): readonly ts.Node[] {
  if (statement === undefined) return []
  return ts.isClassDeclaration(statement) ? statement.members : (propertiesOf(statement) ?? [])
}

function propertiesOf(statement: ts.Statement): readonly ts.Node[] | null {
  if (!ts.isVariableStatement(statement)) return null
  let initializer = statement.declarationList.declarations[0]?.initializer
  // `{ … } as const satisfies Rules` is an object, too.
  while (initializer && (ts.isSatisfiesExpression(initializer) || ts.isAsExpression(initializer)))
    initializer = initializer.expression
  return initializer !== undefined && ts.isObjectLiteralExpression(initializer) ? initializer.properties : null
}

function nameOf(node: ts.Node): string | undefined {
  if (ts.isVariableStatement(node)) return node.declarationList.declarations[0]?.name.getText()
  if (ts.isConstructorDeclaration(node)) return 'constructor'
  return (node as ts.NamedDeclaration).name?.getText()
}

/** Comments belong to the node that follows them. */
function startOf(node: ts.Node): number {
  const text = node.getSourceFile().text
  const comments = ts.getLeadingCommentRanges(text, node.getFullStart()) ?? []
  const own = comments.filter(({ pos }) => pos === 0 || /\n\s*$/.test(text.slice(0, pos)))
  return own[0]?.pos ?? node.getStart()
}

function textOf(node: ts.Node): string {
  return node.getSourceFile().text.slice(startOf(node), node.end)
}

function apply(text: string, change: Change): string {
  return text.slice(0, change.start) + change.text + text.slice(change.end)
}

function parse(text: string): ts.SourceFile {
  return ts.createSourceFile('file.ts', text, ts.ScriptTarget.Latest, true)
}
