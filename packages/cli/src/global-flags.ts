import type { Flag } from './command.ts'

export const GLOBAL_FLAGS: readonly Flag[] = [
  { name: 'directory', short: 'C', value: 'DIR', help: 'Run as if started in DIR', complete: 'directory' },
  {
    name: 'config',
    value: 'F',
    help: 'The configuration file, else found from the working directory',
    complete: 'file',
  },
  { name: 'json', help: 'Write NDJSON: a record a line, the last one a summary' },
  { name: 'quiet', short: 'q', help: 'Say nothing but results and errors' },
  { name: 'verbose', short: 'v', help: 'Say more: causes of errors, every retry' },
  { name: 'dry-run', short: 'n', help: 'Print the whole plan and change nothing' },
  { name: 'yes', short: 'y', help: 'Ask nothing' },
  { name: 'no-color', help: 'No colours; so does NO_COLOR' },
  { name: 'no-progress', help: 'No progress line; so does CI' },
]
