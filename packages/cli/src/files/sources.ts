import { stat } from 'node:fs/promises'
import path from 'node:path'
import type { Input } from '../command-line/input.ts'
import { Fault, usage } from '../errors/fault.ts'
import { walk } from './walk.ts'

/** The argument that means stdin. */
const STDIN = '-'

/** A blob to put: where its bytes come from, and its key. */
export interface PutSource {
  /** A path, or `-`, for people. */
  readonly from: string
  /**
   * The absolute path; `null` for stdin. Only the argument `-` means stdin: a file found in a directory may have that
   * name.
   */
  readonly file: string | null
  /** `undefined`: the checksum becomes the key. */
  readonly key: string | undefined
  /** In bytes; `undefined`: unknown until it ends. */
  readonly size: number | undefined
}

/** Something that was found and is not stored. */
export interface Skipped {
  readonly from: string
  readonly error: unknown
  /** It belongs to the store, and nothing is wrong. */
  readonly isOwn?: true
}

/** The sources of a put in the order of the arguments; within a directory, in the order of the keys. */
export async function* sourcesOf(
  input: Input,
  isOurs: (directory: string) => boolean,
): AsyncGenerator<PutSource | Skipped> {
  checkArguments(input)
  for (const from of input.args) {
    if (from === STDIN) yield { from, file: null, key: keyOf(input, undefined), size: undefined }
    else yield* sourcesAt(from, input, isOurs)
  }
}

function checkArguments(input: Input): void {
  const { args } = input
  if (input.text('key') !== undefined && args.length > 1)
    throw usage('--key takes one source; use --prefix for several')
  if (input.text('key') !== undefined && input.has('recursive'))
    throw usage('--key takes one source; use --prefix for a directory')
  if (input.text('key') !== undefined && input.text('prefix') !== undefined)
    throw usage('--key and --prefix exclude each other')
  if (input.has('recursive') && args.length > 1)
    throw usage('-r takes one directory, because the keys of several could collide; put each with its own --prefix')
  if (args.filter((from) => from === STDIN).length > 1) throw usage('stdin can be read once: give - once')
  const names = args.filter((from) => from !== STDIN).map((from) => path.basename(path.resolve(from)))
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined) throw usage(`two sources would have the key ${JSON.stringify(twice)}`)
}

async function* sourcesAt(
  from: string,
  input: Input,
  isOurs: (directory: string) => boolean,
): AsyncGenerator<PutSource | Skipped> {
  let stats: Awaited<ReturnType<typeof stat>>
  try {
    stats = await stat(from)
  } catch (error) {
    yield { from, error }
    return
  }
  if (!stats.isDirectory()) {
    const file = path.resolve(from)
    yield { from, file, key: keyOf(input, path.basename(file)), size: stats.isFile() ? stats.size : undefined }
  } else if (input.has('recursive')) yield* sourcesBelow(from, input, isOurs)
  else yield { from, error: usage(`${from} is a directory; -r stores its files`) }
}

async function* sourcesBelow(
  root: string,
  input: Input,
  isOurs: (directory: string) => boolean,
): AsyncGenerator<PutSource | Skipped> {
  for await (const found of walk(root, isOurs)) {
    const { file: from } = found
    if (found.why === undefined)
      yield { from, file: path.resolve(from), key: keyOf(input, found.name), size: found.size }
    else {
      const error = new Fault('SKIPPED', `skipped: ${found.why}`, { cause: found.cause })
      yield { from, error, ...(found.isOwn && { isOwn: true }) }
    }
  }
}

function keyOf(input: Input, name: string | undefined): string | undefined {
  const prefix = input.text('prefix')
  if (prefix === undefined) return input.text('key') ?? name
  if (name === undefined) throw usage('--prefix is for files; use --key for stdin')
  return `${prefix.replace(/\/$/, '')}/${name}`
}
