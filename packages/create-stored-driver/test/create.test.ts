import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { testDirectory } from '@stored/testing/directory'
import { beforeEach, describe, expect, it } from 'vitest'
import { peerRange } from '../src/template.ts'

const BIN = fileURLToPath(new URL('../src/bin.ts', import.meta.url))
const OWN = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))

let directory: string
beforeEach(async () => {
  directory = await testDirectory()
})

describe('create-stored-driver NAME', () => {
  it('writes the package stored-driver-NAME and says what comes next', () => {
    const { status, stdout, stderr } = create('my-cloud2')
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toContain('  cd stored-driver-my-cloud2\n  npm install\n  npm test')
    expect(files('stored-driver-my-cloud2')).toEqual([
      '.github/workflows/ci.yml',
      '.gitignore',
      'LICENSE',
      'README.md',
      'package.json',
      'src/index.ts',
      'src/my-cloud2-backend.ts',
      'test/conformance.test.ts',
      'test/harness.ts',
      'test/report.ts',
      'tsconfig.build.json',
      'tsconfig.json',
    ])
  })

  it('names package, class and driver after it, everywhere', () => {
    create('my-cloud2')
    expect(manifest('stored-driver-my-cloud2')).toMatchObject({
      name: 'stored-driver-my-cloud2',
      keywords: ['stored-driver'],
    })
    const written = files('stored-driver-my-cloud2').map((file) => read(`stored-driver-my-cloud2/${file}`))
    expect(written.join('\n')).not.toMatch(/acme/i)
    const backend = read('stored-driver-my-cloud2/src/my-cloud2-backend.ts')
    expect(backend).toContain('export class MyCloud2Backend extends StorageBackend')
    expect(backend).toContain("readonly name = 'my-cloud2'")
  })

  it('is tested with the versions that are published together with it', () => {
    create('cloud')
    expect(manifest('stored-driver-cloud').devDependencies).toMatchObject(OWN.devDependencies)
  })

  it('leaves the version of the core to the program that uses it', () => {
    create('cloud')
    const { dependencies, peerDependencies } = manifest('stored-driver-cloud')
    expect(dependencies).toBeUndefined()
    expect(Object.keys(peerDependencies)).toEqual(['@stored/core'])
  })

  it.each([
    ['^0.0.0', '>=0.0.0 <1'],
    ['^0.3.1', '>=0.3.1 <1'],
    ['^1.2.3', '^1.2.3'],
  ])('works with every later version of the same contract: of %s, with %s', (published, range) => {
    expect(peerRange(published)).toBe(range)
  })

  it('accepts the full package name', () => {
    expect(create('stored-driver-cloud').status).toBe(0)
    expect(files('.')).toContain('stored-driver-cloud/src/cloud-backend.ts')
  })

  it('writes into DIRECTORY, even if it already exists and is empty', () => {
    mkdirSync(join(directory, 'here'))
    expect(create('cloud', 'here').stdout).toContain('cd here\n')
    expect(files('here')).toContain('src/cloud-backend.ts')
  })

  it('writes into the current directory if that is empty, with no directory to cd into', () => {
    const { status, stdout } = create('cloud', '.')
    expect(status).toBe(0)
    expect(stdout).not.toContain('cd ')
  })
})

describe('create-stored-driver --help', () => {
  it.each(['--help', '-h'])('%s shows the usage, and writes nothing', (flag) => {
    const { status, stdout } = create(flag)
    expect({ status, usage: stdout.split('\n')[0] }).toEqual({
      status: 0,
      usage: 'npm create stored-driver NAME [DIRECTORY]',
    })
    expect(files('.')).toEqual([])
  })
})

describe('a mistake exits with 2, says what it is, and writes nothing:', () => {
  it.each([
    ['no name', [], 'the name of the driver is missing: npm create stored-driver NAME [DIRECTORY]'],
    ['an empty name', [''], '"" cannot be the name of a driver: it is empty'],
    ['only the prefix', ['stored-driver-'], '"stored-driver-" cannot be the name of a driver: it is empty'],
    ['upper case', ['Cloud'], '"Cloud" cannot be the name of a driver: names of packages are lower case'],
    ['a scope', ['@me/cloud'], 'a driver is found by its name only without a scope'],
    ['a path', ['../cloud'], 'a driver is found by its name only without a scope'],
    ['other characters', ['my_cloud'], 'it is made of letters, digits and single hyphens between them'],
    ['a digit first', ['9p'], 'and begins with a letter'],
    ['a reserved name', ['s3'], "{ driver: 's3' } means @stored/driver-s3"],
    ['a name too long for npm', ['a'.repeat(201)], 'npm takes 200 characters'],
    ['too many arguments', ['cloud', 'here', 'there'], 'too much: there'],
    ['an empty directory name', ['cloud', ''], 'the directory is empty'],
    ['an unknown option', ['cloud', '--force'], "Unknown option '--force'"],
  ])('%s', (_, args, message) => {
    const { status, stdout, stderr } = create(...args)
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toMatch(/^create-stored-driver: /)
    expect(stderr).toContain(message)
    expect(files('.')).toEqual([])
  })

  it('a directory that is not empty', () => {
    mkdirSync(join(directory, 'here'))
    writeFileSync(join(directory, 'here', 'mine.txt'), 'mine')
    const { status, stderr } = create('cloud', 'here')
    expect({ status, stderr }).toEqual({
      status: 2,
      stderr: `create-stored-driver: ${join(directory, 'here')} is not empty: it holds mine.txt\n`,
    })
    expect(files('.')).toEqual(['here/mine.txt'])
  })

  it('a file in the place of the directory', () => {
    writeFileSync(join(directory, 'here'), 'mine')
    const { status, stderr } = create('cloud', 'here')
    expect({ status, stderr }).toEqual({
      status: 2,
      stderr: `create-stored-driver: ${join(directory, 'here')} is not a directory\n`,
    })
    expect(read('here')).toBe('mine')
  })
})

function create(...args: string[]) {
  return spawnSync(process.execPath, [BIN, ...args], { cwd: directory, encoding: 'utf8' })
}

/** The files below the command's current directory, in order, with slashes. */
function files(below: string): string[] {
  const entries = readdirSync(join(directory, below), { recursive: true, withFileTypes: true })
  const root = join(directory, below)
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) =>
      join(entry.parentPath, entry.name)
        .slice(root.length + 1)
        .replaceAll('\\', '/'),
    )
    .sort()
}

function read(file: string): string {
  return readFileSync(join(directory, file), 'utf8')
}

function manifest(below: string) {
  return JSON.parse(read(`${below}/package.json`))
}
