// The reference of every public package, as HTML in docs/api. Fails if an export has no documentation.
import { join } from 'node:path'
import { Application, type DeclarationReflection, type ProjectReflection, ReflectionKind } from 'typedoc'
import { entriesOf, publicPackages, root } from '../tarballs.ts'

const entries = publicPackages().flatMap(entriesOf)

async function main(): Promise<boolean> {
  const app = await Application.bootstrap({
    name: 'StoreD',
    entryPoints: entries.map(({ file }) => file),
    tsconfig: join(root, 'tsconfig.json'),
    // `npm run check` has a step for types.
    skipErrorChecking: true,
    out: join(root, 'docs', 'api'),
    readme: 'none',
    disableGit: true,
    basePath: root,
    sourceLinkTemplate: 'https://github.com/stored/stored/blob/main/{path}#L{line}',
    excludeExternals: true,
    excludePrivate: true,
    validation: { notExported: true, invalidLink: true, rewrittenLink: true },
    logLevel: 'Warn',
  })
  const project = await app.convert()
  if (project === undefined) return false
  nameModules(project)
  for (const name of undocumented(project)) app.logger.validationWarning(`${name} has no documentation`)
  app.validate(project)
  await app.generateOutputs(project)
  return !app.logger.hasErrors() && !app.logger.hasWarnings()
}

/** Names modules by their import specifiers. */
function nameModules(project: ProjectReflection): void {
  const names = new Map(entries.map(({ file, name }) => [file, name]))
  for (const module of project.getChildrenByKind(ReflectionKind.Module))
    module.name = names.get(module.sources?.[0]?.fullFileName ?? '') ?? module.name
}

/** Only exports: the names of members may say it all. */
function undocumented(project: ProjectReflection): string[] {
  const exported = project.getChildrenByKind(ReflectionKind.Module).flatMap(({ children = [] }) => children)
  return exported
    .filter((each) => !each.kindOf(ReflectionKind.Reference) && !isDocumented(each))
    .map((each) => `${each.getFriendlyFullName()} (${each.sources?.[0]?.fileName})`)
}

function isDocumented(each: DeclarationReflection): boolean {
  return each.hasComment() || (each.signatures ?? []).some((signature) => signature.hasComment())
}

if (!(await main())) process.exitCode = 1
