import type { Flag } from './command.ts'

export const GLOBAL_FLAGS: readonly Flag[] = [
  { name: 'directory', short: 'C', value: 'DIR', help: 'Run as if started in DIR', complete: 'directory' },
  {
    name: 'config',
    value: 'F',
    help: 'The configuration file; otherwise found from the working directory',
    complete: 'file',
  },
  { name: 'json', help: 'Write NDJSON: one record per line, the last a summary' },
  { name: 'quiet', short: 'q', help: 'Show only results and errors' },
  { name: 'verbose', short: 'v', help: 'Show more: causes of errors, every retry' },
  { name: 'dry-run', short: 'n', help: 'Print the whole plan and change nothing' },
  { name: 'yes', short: 'y', help: 'Ask nothing' },
  { name: 'no-color', help: 'No colours; so does NO_COLOR' },
  { name: 'no-progress', help: 'No progress line; so does CI' },
]
