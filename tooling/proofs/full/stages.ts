/** One run of a task of this repository, short enough for a person to wait for. */
export interface Part {
  /** Number in the stage, and number of parts: `kill 3/20`. */
  readonly name: string
  /** The arguments of `node tooling/run.mjs`. */
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** It fails if it takes longer. */
  readonly minutes: number
}

interface Stage {
  readonly parts: number
  readonly minutes: number
  /** `seed`: a whole number, different for each part. */
  readonly run: (seed: number, index: number) => Pick<Part, 'args'> & Partial<Pick<Part, 'env'>>
}

/** @see tooling/proofs/inject/protocol.ts */
const CALLS = ['write', 'pwrite', 'writev', 'fsync', 'fdatasync', 'msync', 'rename', 'link', 'mkdir', 'open', 'unlink']
const MODEL = 'packages/node/test/model'

/** Everything too long for CI, ordered by how soon it is likely to find something. Numbers are per part. */
const STAGES: Readonly<Record<string, Stage>> = {
  model: {
    parts: 20,
    minutes: 60,
    run: (seed) => ({
      args: ['test', `${MODEL}/model.test.ts`],
      env: { MODEL_SEQUENCES: '1000', MODEL_SEED: String(seed) },
    }),
  },
  schedules: {
    parts: 10,
    minutes: 60,
    run: (seed) => ({
      args: ['test', `${MODEL}/schedule.test.ts`],
      env: { MODEL_SCHEDULES: '10000', MODEL_SEED: String(seed) },
    }),
  },
  storms: {
    parts: 10,
    minutes: 60,
    run: (seed) => ({
      args: ['test', 'packages/node/test/storm'],
      env: { STORM: '100', STORM_SEED: String(1000 * seed) },
    }),
  },
  guards: {
    parts: 1,
    minutes: 90,
    run: () => ({ args: ['mutants'], env: { STORM: '10' } }),
  },
  proof: {
    parts: 10,
    minutes: 60,
    run: (seed) => ({
      args: ['test', 'packages/node/test/proof'],
      env: { PROOF_JOBS: '20000', PROOF_OUTAGE_JOBS: '10000', PROOF_ISOLATION_BLOBS: '5000', PROOF_SEED: String(seed) },
    }),
  },
  power: { parts: 10, minutes: 30, run: (seed) => ({ args: ['power', '20', '--seed', String(seed)] }) },
  kill: { parts: 20, minutes: 30, run: (seed) => ({ args: ['kill', '50', '--seed', String(seed)] }) },
  processes: { parts: 10, minutes: 30, run: (seed) => ({ args: ['processes', '50', '--seed', String(seed)] }) },
  upgrade: {
    parts: 5,
    minutes: 30,
    run: (seed) => ({ args: ['upgrade', '10', '--blobs', '100000', '--seed', String(seed)] }),
  },
  inject: {
    parts: CALLS.length,
    minutes: 90,
    run: (_, index) => ({ args: ['inject', '--full', '--only', CALLS[index] as string] }),
  },
  'kill-remote': { parts: 5, minutes: 90, run: (seed) => ({ args: ['kill-remote', '8', '--seed', String(seed)] }) },
  mutants: {
    parts: 1,
    minutes: 90,
    run: () => ({
      args: ['test', 'packages/conformance/test/mutants.test.ts'],
      env: { CONFORMANCE_PROFILE: 'full' },
    }),
  },
  conformance: {
    parts: 4,
    minutes: 90,
    run: (_, index) => ({ args: ['reports', ['memory', 'fs', 's3', 'sftp'][index] as string] }),
  },
  // All installed packages; then the default number of files for servers.
  demo: {
    parts: 2,
    minutes: 60,
    run: (_, index) => ({
      args: index === 0 ? ['demo', '--files', '1000000'] : ['demo', '--backends', 'local,s3,sftp'],
    }),
  },
  idle: { parts: 1, minutes: 15, run: () => ({ args: ['idle', '--seconds', '300'] }) },
}

export const NAMES = Object.keys(STAGES)

/** @param seed A whole number, from which those of all parts follow. */
export function partsOf(names: readonly string[], seed: number): Part[] {
  return NAMES.filter((name) => names.includes(name)).flatMap((name) => {
    const { parts, minutes, run } = STAGES[name] as Stage
    return Array.from({ length: parts }, (_, i) => ({
      name: `${name} ${i + 1}/${parts}`,
      minutes,
      env: {},
      ...run(seed + i, i),
    }))
  })
}

/** The command that repeats a part, to be typed at the root of the repository. */
export function commandOf({ args, env }: Pick<Part, 'args' | 'env'>): string {
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value} `)
  return `${variables.join('')}node tooling/run.mjs ${args.join(' ')}`
}
