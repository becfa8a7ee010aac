// Finds exports that nothing imports: of a source file, and of the entries of a package.
import { globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path/posix'
import ts from 'typescript'

/** Every name of a module, as in `import * as all` and `export *`. */
const ALL = '*'
/** Tests and their helpers: what only these import has no caller. */
const TEST = /\.(test|suite|child)\.tsx?$|\/(test|template)\/|^tooling\/|^packages\/testing\//
const SOURCE = /^(packages|drivers)\/(?!testing\/)[^/]+\/src\//

/** Called in another way than by an import. */
const CALLED_OTHERWISE: readonly string[] = [
  'packages/checksumd/src/file-worker.ts digestFile', // by name, in a worker
  'packages/cli/src/help/reference.ts reference', // by the command that writes docs/cli.md
  'packages/core/src/runtime.ts NODE_RANGE', // a test compares the manifests with it
  'packages/create-stored-driver/src/index.ts Mistake', // thrown by createDriver
  'packages/ledger/src/draft.ts baseOf', // mutants of the kit look through a draft
]

interface Module {
  readonly exports: ReadonlyMap<string, { readonly line: number; readonly isType: boolean; readonly uses: number }>
  readonly imports: readonly Import[]
}

interface Import {
  readonly target: string
  readonly name: string
}

/**
 * Exports of the packages at `root` without a caller, each as `file:line: why`:
 *
 * - for a source file: exports that no other file imports, or that only tests import while the file itself does not use
 *   them
 * - for an entry: values that no other package, tool or documentation names
 */
export function findUnused(root: string): string[] {
  const read = (file: string) => readFileSync(join(root, file), 'utf8')
  const glob = (pattern: string) =>
    globSync(pattern, { cwd: root }).filter((file) => !/(^|\/)(node_modules|dist)\//.test(file))
  const entries = entriesOf(glob('{packages,drivers,tooling}/**/package.json'), read)
  const files = glob('{packages,drivers,tooling}/**/*.{ts,tsx,mjs}').sort()
  const modules = new Map(files.map((file) => [file, parse(file, read(file), entries)]))
  const importers = new Map<string, string[]>()
  for (const [file, { imports }] of modules)
    for (const { target, name } of imports) {
      const key = `${target} ${name}`
      importers.set(key, [...(importers.get(key) ?? []), file])
    }
  const documentation = glob('{docs,docs/{guides,errors},packages/*,drivers/*,.}/*.md')
    .filter((file) => file !== 'docs/fences.md')
    .map(read)
    .join('\n')
  const isEntry = new Set(entries.values())
  const found: string[] = []
  for (const [file, module] of modules) {
    if (!SOURCE.test(file) || TEST.test(file) || file.endsWith('.d.ts')) continue
    const own = file.split('/').slice(0, 2).join('/')
    for (const [name, { line, isType, uses }] of module.exports) {
      const by = [...(importers.get(`${file} ${name}`) ?? []), ...(importers.get(`${file} ${ALL}`) ?? [])]
      if (CALLED_OTHERWISE.includes(`${file} ${name}`)) continue
      const complain = (why: string) => found.push(`${file}:${line}: ${why} ${name}`)
      if (isEntry.has(file)) {
        const isCalled =
          by.some((each) => !each.startsWith(`${own}/`)) || new RegExp(`\\b${name}\\b`).test(documentation)
        if (!isType && !isCalled) complain('no other package and no documentation uses')
      } else if (by.length === 0 && !(isType && uses > 1)) complain('no other file imports')
      else if (by.every((each) => TEST.test(each)) && uses < 2) complain('only tests import')
    }
  }
  return found
}

/** The files that packages export, by specifier. */
function entriesOf(manifests: readonly string[], read: (file: string) => string): Map<string, string> {
  const entries = new Map<string, string>()
  for (const file of manifests) {
    const {
      name,
      exports = {},
      bin = {},
    } = JSON.parse(read(file)) as {
      name: string
      exports?: Record<string, unknown>
      bin?: Record<string, string>
    }
    for (const [entry, target] of [...Object.entries(exports), ...Object.entries(bin)])
      if (typeof target === 'string')
        entries.set(`${name}${entry.replace(/^\.(?=\/|$)/, '')}`, join(dirname(file), target))
  }
  return entries
}

function parse(file: string, text: string, entries: ReadonlyMap<string, string>): Module {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true)
  const exports = new Map<string, { line: number; isType: boolean; uses: number }>()
  const imports: Import[] = []
  const counts = new Map<string, number>()
  const resolve = (specifier: string) =>
    specifier.startsWith('.') ? join(dirname(file), specifier) : (entries.get(specifier) ?? specifier)
  const note = (specifier: ts.Node | undefined, names: readonly string[]) => {
    if (specifier && ts.isStringLiteralLike(specifier))
      for (const name of names) imports.push({ target: resolve(specifier.text), name })
  }
  const offer = (name: string, node: ts.Node, isType: boolean) =>
    exports.set(name, { line: source.getLineAndCharacterOfPosition(node.getStart()).line + 1, isType, uses: 0 })
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node)) counts.set(node.text, (counts.get(node.text) ?? 0) + 1)
    if (ts.isImportDeclaration(node)) note(node.moduleSpecifier, importedBy(node))
    if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument))
      note(node.argument.literal, [node.qualifier?.getText() ?? ALL])
    if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword)
      note(node.arguments[0], awaited(node))
    if (ts.isExportDeclaration(node)) {
      const named = node.exportClause && ts.isNamedExports(node.exportClause) ? node.exportClause.elements : []
      note(node.moduleSpecifier, node.exportClause ? named.map((each) => (each.propertyName ?? each.name).text) : [ALL])
      for (const each of named) offer(each.name.text, each, node.isTypeOnly || each.isTypeOnly)
    }
    for (const [name, isType] of declaredBy(node)) offer(name, node, isType)
    ts.forEachChild(node, visit)
  }
  visit(source)
  for (const [name, each] of exports) each.uses = counts.get(name) ?? 0
  return { exports, imports }
}

function importedBy({ importClause }: ts.ImportDeclaration): string[] {
  const bindings = importClause?.namedBindings
  const named =
    bindings && ts.isNamedImports(bindings)
      ? bindings.elements.map((each) => (each.propertyName ?? each.name).text)
      : []
  return [
    ...named,
    ...(bindings && ts.isNamespaceImport(bindings) ? [ALL] : []),
    ...(importClause?.name ? ['default'] : []),
  ]
}

/** `const { a } = await import('b')` names one; any other use of a module may use all of it. */
function awaited(call: ts.Node): string[] {
  const declaration = call.parent.parent
  if (!ts.isVariableDeclaration(declaration) || !ts.isObjectBindingPattern(declaration.name)) return [ALL]
  return declaration.name.elements.map((each) => (each.propertyName ?? each.name).getText())
}

function declaredBy(node: ts.Node): [string, boolean][] {
  const isExported =
    ts.canHaveModifiers(node) && ts.getModifiers(node)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)
  if (!isExported) return []
  if (ts.isVariableStatement(node)) return node.declarationList.declarations.map(({ name }) => [name.getText(), false])
  if (ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node)) return [[node.name.text, true]]
  return (ts.isFunctionDeclaration(node) || ts.isClassDeclaration(node)) && node.name ? [[node.name.text, false]] : []
}
