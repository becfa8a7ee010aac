import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path/posix'
import ts from 'typescript'

/** Files that import each other, in the order of the imports. */
export interface Circle {
  /** The import that closes it. */
  readonly file: string
  readonly line: number
  readonly path: readonly string[]
}

interface Import {
  readonly target: string
  readonly line: number
}

/**
 * Circles of relative imports among `files`, which are relative to `root`. An import of types counts, because a reader
 * of one file must read the other. An `import()` does not: it is loaded only when called.
 */
export function findCircles(root: string, files: readonly string[]): Circle[] {
  const imports = new Map(files.map((file) => [file, importsOf(root, file)]))
  const done = new Set<string>()
  const circles: Circle[] = []
  const visit = (file: string, path: readonly string[]): void => {
    for (const { target, line } of imports.get(file) ?? []) {
      const start = path.indexOf(target)
      if (start >= 0) circles.push({ file, line, path: [...path.slice(start), target] })
      else if (!done.has(target)) visit(target, [...path, target])
    }
    done.add(file)
  }
  for (const file of files) if (!done.has(file)) visit(file, [file])
  return circles
}

function importsOf(root: string, file: string): Import[] {
  const source = ts.createSourceFile(file, readFileSync(join(root, file), 'utf8'), ts.ScriptTarget.Latest)
  const found: Import[] = []
  const visit = (node: ts.Node): void => {
    const specifier = specifierOf(node)
    if (specifier?.text.startsWith('.'))
      found.push({
        target: join(dirname(file), specifier.text),
        line: source.getLineAndCharacterOfPosition(specifier.getStart(source)).line + 1,
      })
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

/** What a node imports before anything runs: `import … from`, `export … from`, and `import('…').Type`. */
function specifierOf(node: ts.Node): ts.StringLiteralLike | undefined {
  const named =
    ts.isImportDeclaration(node) || ts.isExportDeclaration(node)
      ? node.moduleSpecifier
      : ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)
        ? node.argument.literal
        : undefined
  return named && ts.isStringLiteralLike(named) ? named : undefined
}
