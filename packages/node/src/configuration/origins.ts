import { BACKEND_OPTIONS, type Options, own, STORE_OPTIONS } from './options.ts'
import { isSecretName, isSecretText, MASK } from './secrets.ts'
import { type Branch, backendsOf, childOption, type Entry, isBranch, type Leaf } from './tree.ts'

/** A value of the configuration, and where it came from. */
export interface Origin {
  /** `backends.usb.root`. */
  readonly option: string
  /** Secrets are `'•••'`; a default that depends on the machine is described. */
  readonly value: unknown
  readonly from: 'file' | 'environment' | 'flag' | 'default'
  /** `stored.config.json:12`, `STORED_BACKENDS__USB__ROOT`, `--backends.usb.root`, `default`. */
  readonly where: string
}

/** Every value, including defaults. */
export function originsOf(tree: Branch): Origin[] {
  return [...given(tree, '', false), ...defaults(tree, STORE_OPTIONS, ''), ...defaultsOfBackends(tree)]
}

function given(entry: Entry, option: string, isSecret: boolean): Origin[] {
  if (isBranch(entry) && !entry.isList)
    return [...entry.children].flatMap(([name, child]) =>
      // Only backends have secrets: nothing else is hidden.
      given(
        child,
        childOption(option, name, false),
        isSecret || (option.startsWith('backends.') && isSecretName(name)),
      ),
    )
  const { from, where } = entry
  return [{ option, value: shown(entry, isSecret), from, where }]
}

function shown(entry: Entry, isSecret: boolean): unknown {
  if (!isBranch(entry)) return shownLeaf(entry, isSecret)
  const children = [...entry.children].map(
    ([name, child]) => [name, shown(child, isSecret || isSecretName(name))] as const,
  )
  return entry.isList ? children.map(([, child]) => child) : Object.fromEntries(children)
}

function shownLeaf({ value, secret }: Leaf, isSecret: boolean): unknown {
  if (secret || isSecret || isSecretText(value)) return MASK
  if (typeof value === 'function') return '(function)'
  return typeof value === 'object' && value !== null ? `(${value.constructor?.name ?? 'object'})` : value
}

function defaults(branch: Branch, options: Options, path: string): Origin[] {
  return Object.keys(options).flatMap((name): Origin[] => {
    const option = own(options, name)
    const entry = branch.children.get(name)
    const inner = childOption(path, name, false)
    // A group that is off by default has no defaults of its own until it is given.
    if (option?.is === 'group' && (entry === undefined ? option.default !== false : isBranch(entry)))
      return defaults(isBranch(entry) ? entry : NOTHING, option.options ?? {}, inner)
    const value = option?.default ?? option?.otherwise
    if (entry !== undefined || value === undefined) return []
    return [{ option: inner, value, from: 'default', where: 'default' }]
  })
}

function defaultsOfBackends(tree: Branch): Origin[] {
  return backendsOf(tree).flatMap(([name, backend]) =>
    defaults(isBranch(backend) ? backend : NOTHING, BACKEND_OPTIONS, `backends.${name}`),
  )
}

const NOTHING: Branch = { from: 'file', where: '', base: '', isList: false, children: new Map() }
