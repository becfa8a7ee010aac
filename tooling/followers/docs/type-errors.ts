import { join } from 'node:path'
import ts from 'typescript'
import type { Example, Failure } from './examples.ts'

export interface Written {
  readonly example: Example
  readonly path: string
}

/** The compiler's errors for the `ts` examples in `directory`, as strict as for this repository itself. */
export function typeErrors(root: string, directory: string, written: readonly Written[]): Map<Example, Failure[]> {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile)
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, root)
  const program = ts.createProgram(
    written.map(({ path }) => path),
    {
      ...options,
      moduleDetection: ts.ModuleDetectionKind.Force,
      noUnusedLocals: false,
      typeRoots: [join(directory, 'node_modules', '@types')],
    },
  )
  return new Map(written.map(({ example, path }) => [example, errorsOf(program, example, path)]))
}

function errorsOf(program: ts.Program, { file }: Example, path: string): Failure[] {
  const source = program.getSourceFile(path)
  const diagnostics = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)]
  return diagnostics.map(({ start = 0, messageText }) => ({
    file,
    line: (source?.getLineAndCharacterOfPosition(start).line ?? 0) + 1,
    message: ts.flattenDiagnosticMessageText(messageText, '\n'),
  }))
}
